import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.pipeline.fetching import Budget, Share


@given(st.lists(st.one_of(st.none(), st.integers(0, 200)), max_size=40))
def test_never_more_than_the_limit_is_held_and_everything_gets_its_turn(
    sizes: list[int | None],
) -> None:
    budget, lock = Budget(100), threading.Lock()
    held = most = 0

    def fetch(size: int | None) -> None:
        nonlocal held, most
        share = Share(budget)
        share.take(size)
        share.take(size)  # again after a failure
        with lock:
            held += 100 if size is None else min(size, 100)
            most = max(most, held)
        with lock:
            held -= 100 if size is None else min(size, 100)
        share.close()
        share.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fetch, sizes))
    assert most <= 100
    assert Budget(100).take(100) == budget.take(100) == 100


def test_nobody_waits_after_the_end() -> None:
    budget = Budget(100)
    budget.take(None)
    waiting = threading.Thread(target=budget.take, args=(1,))
    waiting.start()
    budget.stop()
    waiting.join(60)
    assert not waiting.is_alive()
