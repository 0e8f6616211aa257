import os
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan import Preprocess
from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import StoreError
from nsfwtrain.data import examples
from nsfwtrain.data.objects import Stamps, lost_objects
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels

SMALL = Preprocess(size=16)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store of six images whose pixels are cached."""
    (tmp_path / "in").mkdir()
    for i in range(6):
        data = encoded(Image.new("RGB", (20, 20), (40 * i, 0, 0)), "PNG")
        (tmp_path / "in" / f"{i}.png").write_bytes(data)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    rows = read_labels(tmp_path / "store" / "label.csv")
    arrays = examples.pixels_cache(tmp_path / "cache", SMALL)
    names = rows["objectId"].tolist()
    examples.fill(arrays, tmp_path / "store", names, SMALL, lambda pixels: pixels)
    return tmp_path / "store"


def test_missing_and_changed_objects_are_counted_and_the_first_is_named(
    store: Path, tmp_path: Path
) -> None:
    rows = read_labels(store / "label.csv")
    assert lost_objects(rows, store, tmp_path / "cache") == {}
    missing, changed, smaller = rows["objectId"][[1, 3, 4]]
    object_path(store, missing).unlink()
    data = object_path(store, changed).read_bytes()
    object_path(store, changed).write_bytes(data[:-1] + b"x")  # as long as before
    kept = object_path(store, smaller).stat()
    object_path(store, smaller).write_bytes(data[:-1])
    os.utime(object_path(store, smaller), ns=(kept.st_atime_ns, kept.st_mtime_ns))
    with pytest.raises(StoreError) as caught:
        lost_objects(rows, store, tmp_path / "cache")
    path = object_path(store, missing)
    assert str(caught.value) == (
        f"{store} no longer has 3 of 6 images of the split, or has changed ones; the first: object "
        f"{missing}: cannot read {path}: No such file or directory; import their files again, or "
        "skip such images with --skip-bad"
    )
    lost = lost_objects(rows, store, tmp_path / "cache", skip_bad=True)
    assert list(lost) == [missing, changed, smaller]
    assert lost[changed].endswith("do not have the SHA-1 of its ID")
    import_folder(tmp_path / "in", store, 0)
    assert lost_objects(rows, store, tmp_path / "cache") == {}


def test_unchanged_objects_are_not_read_and_touched_ones_only_once(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_labels(store / "label.csv")
    touched = rows["objectId"][2]
    os.utime(object_path(store, touched), ns=(1, 1))
    hidden = object_path(store, rows["objectId"][0])
    now = hidden.stat()
    hidden.write_bytes(bytes(now.st_size))  # nobody finds out who does not read it
    os.utime(hidden, ns=(now.st_atime_ns, now.st_mtime_ns))
    assert lost_objects(rows, store, tmp_path / "cache") == {}
    stamps = Stamps(tmp_path / "cache", store).get([touched])
    assert stamps[touched] == (object_path(store, touched).stat().st_size, 1)
    with pytest.raises(StoreError, match="no longer has 1 of 6 images"):  # all are read
        lost_objects(rows, store, tmp_path / "empty cache")
