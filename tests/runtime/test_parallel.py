import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.parallel import available_cores, map_ahead


@given(st.lists(st.integers()), st.integers(1, 4), st.integers(1, 9))
def test_results_are_those_of_map(items: list[int], workers: int, window: int) -> None:
    results = map_ahead(lambda n: n * n, items, workers=workers, window=window)
    assert list(results) == [n * n for n in items]


def test_items_are_taken_a_window_ahead_and_no_more() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = map_ahead(str, endless(), workers=2, window=5)
    assert [next(results) for _ in range(10)] == [str(n) for n in range(1, 11)]
    assert taken == 14
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_what_is_raised_arrives_in_its_place() -> None:
    results = map_ahead(lambda n: 1 // n, [1, 0, 1], workers=2, window=3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_there_is_a_core() -> None:
    assert available_cores() >= 1
