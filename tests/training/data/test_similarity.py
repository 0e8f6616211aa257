import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st
from labelled import Labelled

from nsfwscan.dataset.objects import object_path, read_object
from nsfwscan.decoding import similarity
from nsfwscan.errors import StoreError
from nsfwtrain.data.similarity import difference_hash, groups, hashes_of, near_pairs
from nsfwtrain.data.tables import read_split


def test_only_similar_images_have_close_hashes() -> None:
    photo = load_photo("astronaut.png")
    plain = difference_hash(encoded(photo, "PNG"))
    worse = difference_hash(encoded(photo.resize((300, 300)), "JPEG", quality=40))
    other = difference_hash(encoded(load_photo("coffee.png"), "PNG"))
    assert (plain ^ worse).bit_count() <= 4
    assert (plain ^ other).bit_count() > 16


def pairs(values: list[int], distance: int) -> Iterator[tuple[int, int, int]]:
    for i, value in enumerate(values):
        for j in range(i + 1, len(values)):
            bits = (value ^ values[j]).bit_count()
            if bits <= distance:
                yield i, j, bits


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 7), max_size=20), st.integers(0, 64))
def test_near_duplicates_match_a_plain_loop(values: list[int], distance: int) -> None:
    blocks = near_pairs(np.array(values, np.uint64), distance)
    found = [pair for block in blocks for pair in zip(*(c.tolist() for c in block), strict=True)]
    assert found == list(pairs(values, distance))


def closure(values: list[int], distance: int) -> set[frozenset[int]]:
    """Join groups one pair at a time."""
    joined = [{i} for i in range(len(values))]
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            if (a ^ b).bit_count() <= distance:
                union = joined[i] | joined[j]
                for member in union:
                    joined[member] = union
    return {frozenset(group) for group in joined}


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 63), max_size=30), st.integers(0, 64))
def test_groups_are_the_transitive_closure(values: list[int], distance: int) -> None:
    numbers = groups(np.array(values, np.uint64), distance)
    assert sorted(set(numbers.tolist())) == list(range(len(set(numbers.tolist()))))
    found = {frozenset(np.flatnonzero(numbers == n).tolist()) for n in set(numbers.tolist())}
    assert found == closure(values, distance)


def test_a_chain_across_blocks_is_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "_BLOCK", 1)
    chain = [(1 << 4 * i) - 1 for i in range(16)]  # each value is 4 bits away from the next
    values = np.array([*chain[::2], 0x5555555555555555, *chain[1::2]], np.uint64)
    assert groups(values, 4).tolist() == [0] * 8 + [1] + [0] * 8
    assert len(set(groups(values, 3).tolist())) == 17


def test_ten_thousand_images_are_grouped_quickly() -> None:
    values = np.random.default_rng(0).integers(0, 2**64, 10_000, np.uint64)
    values[5000:] = values[:5000] ^ np.uint64(0b111)
    start = time.perf_counter()
    numbers = groups(values)
    assert time.perf_counter() - start < 20  # it takes half a second on an idle machine
    assert np.array_equal(numbers[5000:], numbers[:5000])
    assert len(set(numbers.tolist())) == 5000


def test_hashes_are_computed_once(labelled: Labelled, tmp_path: Path) -> None:
    rows = read_split(labelled.split)[:40]
    expected = [difference_hash(read_object(labelled.store, name)) for name in rows["objectId"]]
    assert hashes_of(rows, labelled.store, tmp_path / "cache").tolist() == expected
    again = hashes_of(rows[::-1], tmp_path / "no store", tmp_path / "cache")
    assert again.tolist() == expected[::-1]


def test_an_unusable_image_is_near_no_other(labelled: Labelled, tmp_path: Path) -> None:
    rows = read_split(labelled.split)[:3]
    for name in rows["objectId"][1:]:
        path = object_path(tmp_path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read_object(labelled.store, name))
    with pytest.raises(StoreError, match=f"object {rows['objectId'][0]}: cannot read"):
        hashes_of(rows, tmp_path, tmp_path / "cache")
    found = hashes_of(rows, tmp_path, tmp_path / "cache", skip_bad=True)
    assert found[0] == int(rows["objectId"][0][:16], 16)
    assert found[1] == difference_hash(read_object(labelled.store, rows["objectId"][1]))
