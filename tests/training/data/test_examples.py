import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import Collection

from nsfwscan import Preprocess, decode
from nsfwscan.dataset.labels import Assigned, Label, read_split
from nsfwscan.dataset.objects import object_path, read_object
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.errors import StoreError
from nsfwtrain.data import examples

SMALL = Preprocess(size=16)


def test_each_image_is_made_once_and_is_what_decode_gives(
    collection: Collection, tmp_path: Path
) -> None:
    rows = read_split(collection.split)
    made: list[int] = []

    def make(pixels: Pixels) -> Pixels:
        made.append(len(pixels))
        return pixels

    told: list[tuple[int, int]] = []

    @contextmanager
    def progress(_label: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: told.append((done, total))

    for expected in (len(rows), 0):
        cache = examples.pixels_cache(tmp_path, SMALL)
        made.clear()
        told.clear()
        bad = examples.fill(
            cache, collection.store, examples.missing(rows, cache), SMALL, make, progress=progress
        )
        assert bad == {}
        assert sum(made) == expected
        assert told[-1:] == [(expected, expected)] * bool(expected)
    label = rows[7].label
    pixels = decode(read_object(collection.store, label.object_id), SMALL).pixels
    assert np.array_equal(cache.get([label.sha1]), pixels)


def test_bad_images_stop_it_or_are_left_out(collection: Collection, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(collection.store, store)
    rows = read_split(collection.split)
    missing, changed = rows[3].label.object_id, rows[5].label.object_id
    object_path(store, missing).unlink()
    object_path(store, changed).write_bytes(b"changed")
    cache = examples.pixels_cache(tmp_path, SMALL)
    with pytest.raises(StoreError, match=f"object {missing}: .*leave such out with --skip-bad"):
        examples.fill(cache, store, examples.missing(rows, cache), SMALL, np.copy)
    bad = examples.fill(
        cache, store, examples.missing(rows, cache), SMALL, lambda pixels: pixels, skip_bad=True
    )
    assert set(bad) == {missing, changed}
    parts = examples.by_part(rows, cache)
    assert sum(map(len, parts.values())) == len(rows) - 2


def test_memory_does_not_grow_with_the_images(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "available_cores", lambda: 1)  # it bounds what is under way
    preprocess = Preprocess(size=128)
    rows = read_split(collection.split)
    cache = examples.pixels_cache(tmp_path, preprocess)
    tracemalloc.start()
    try:
        examples.fill(
            cache,
            collection.store,
            examples.missing(rows, cache),
            preprocess,
            lambda pixels: pixels,
        )
        train = examples.by_part(rows, cache)["train"]
        for _ in examples.batches(train, cache, 16, examples.order(len(train), 0, 0)):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * len(rows) * 128 * 128 * 3


def test_a_part_without_a_label_is_named(tmp_path: Path) -> None:
    cache = examples.pixels_cache(tmp_path, SMALL)
    row = Assigned(Label("0" * 40 + ".png", 1), "train")
    with pytest.raises(StoreError, match="the part train of the split has no usable image of"):
        examples.by_part([row], cache)


@given(st.integers(1, 50), st.integers(0, 3), st.integers(0, 3))
def test_an_order_is_a_permutation_that_seed_and_epoch_decide(
    count: int, seed: int, epoch: int
) -> None:
    first = examples.order(count, seed, epoch)
    assert sorted(first) == list(range(count))
    assert np.array_equal(first, examples.order(count, seed, epoch))


def test_batches_hold_every_example_once(collection: Collection, tmp_path: Path) -> None:
    rows = read_split(collection.split)
    cache = examples.pixels_cache(tmp_path, SMALL)
    examples.fill(
        cache, collection.store, examples.missing(rows, cache), SMALL, lambda pixels: pixels
    )
    train = examples.by_part(rows, cache)["train"]
    order = examples.order(len(train), 0, 0)
    got = list(examples.batches(train, cache, 50, order))
    assert [len(labels) for _, labels in got] == [50] * (len(train) // 50) + [len(train) % 50]
    assert np.array_equal(np.concatenate([labels for _, labels in got]), train.values[order])
