import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import Labelled

from nsfwscan import Preprocess, decode
from nsfwscan.dataset.objects import object_path, read_object
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.errors import StoreError
from nsfwscan.reports.progress import Total
from nsfwtrain.data import examples
from nsfwtrain.data.tables import read_split, sha1s, split_frame, targets

SMALL = Preprocess(size=16)


def test_each_image_is_decoded_once(labelled: Labelled, tmp_path: Path) -> None:
    rows = read_split(labelled.split)
    made: list[int] = []

    def make(pixels: Pixels) -> Pixels:
        made.append(len(pixels))
        return pixels

    shown: list[tuple[int, Total]] = []

    @contextmanager
    def progress(_label: str, total: Total) -> Iterator[Callable[[int], None]]:
        yield lambda done: shown.append((done, total))

    for expected in (len(rows), 0):
        cache = examples.pixels_cache(tmp_path, SMALL)
        made.clear()
        shown.clear()
        bad = examples.fill(
            cache, labelled.store, examples.missing(rows, cache), SMALL, make, progress=progress
        )
        assert bad == {}
        assert sum(made) == expected
        assert shown[-1:] == [(expected, expected)] * bool(expected)
    pixels = decode(read_object(labelled.store, rows["objectId"][7]), SMALL).pixels
    assert np.array_equal(cache.get([sha1s(rows)[7]]), pixels)


def test_bad_images_are_errors_or_left_out(labelled: Labelled, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(labelled.store, store)
    rows = read_split(labelled.split)
    missing, changed = rows["objectId"][3], rows["objectId"][5]
    object_path(store, missing).unlink()
    object_path(store, changed).write_bytes(b"changed")
    cache = examples.pixels_cache(tmp_path, SMALL)
    with pytest.raises(StoreError, match=f"object {missing}: .*skip such images with --skip-bad"):
        examples.fill(cache, store, examples.missing(rows, cache), SMALL, np.copy)
    bad = examples.fill(
        cache, store, examples.missing(rows, cache), SMALL, lambda pixels: pixels, skip_bad=True
    )
    assert set(bad) == {missing, changed}
    parts = examples.collect(rows, cache).parts
    assert sum(map(len, parts.values())) == len(rows) - 2


def test_memory_does_not_grow_with_the_number_of_images(
    labelled: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "available_cores", lambda: 1)  # each core holds a batch in memory
    preprocess = Preprocess(size=128)
    rows = read_split(labelled.split)
    cache = examples.pixels_cache(tmp_path, preprocess)
    tracemalloc.start()
    try:
        examples.fill(
            cache,
            labelled.store,
            examples.missing(rows, cache),
            preprocess,
            lambda pixels: pixels,
        )
        data = examples.collect(rows, cache)
        order = examples.order(len(data.parts["train"]), 0, 0)
        for _ in data.batches("train", 16, order):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * len(rows) * 128 * 128 * 3


def test_a_part_without_a_label_is_named(tmp_path: Path) -> None:
    cache = examples.pixels_cache(tmp_path, SMALL)
    split = split_frame([("0" * 40 + ".png", 1, "train")])
    with pytest.raises(StoreError, match="the part train of the split has no usable image of"):
        examples.collect(split, cache)


@given(st.integers(1, 50), st.integers(0, 3), st.integers(0, 3))
def test_seed_and_epoch_determine_the_order(count: int, seed: int, epoch: int) -> None:
    first = examples.order(count, seed, epoch)
    assert sorted(first) == list(range(count))
    assert np.array_equal(first, examples.order(count, seed, epoch))


def test_batches_hold_every_example_once(labelled: Labelled, tmp_path: Path) -> None:
    rows = read_split(labelled.split)
    cache = examples.pixels_cache(tmp_path, SMALL)
    examples.fill(
        cache, labelled.store, examples.missing(rows, cache), SMALL, lambda pixels: pixels
    )
    data = examples.collect(rows, cache)
    train = data.parts["train"]
    order = examples.order(len(train), 0, 0)
    got = list(data.batches("train", 50, order))
    assert [len(labels) for _, labels in got] == [50] * (len(train) // 50) + [len(train) % 50]
    assert np.array_equal(np.concatenate([labels for _, labels in got]), targets(train)[order])
    plain = np.concatenate([labels for _, labels in data.batches("train", 50)])
    assert np.array_equal(plain, targets(train))
