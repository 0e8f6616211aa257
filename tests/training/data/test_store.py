import hashlib
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import LabelError, StoreError
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels


def image(path: Path, level: int) -> bytes:
    data = encoded(Image.new("RGB", (20, 20), (level, 0, 0)), "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def test_images_are_stored_by_hash_and_labelled(tmp_path: Path) -> None:
    data = image(tmp_path / "in" / "deep" / "A.PNG", 10)
    done = import_folder(tmp_path / "in", tmp_path / "store", 1)
    sha1 = hashlib.sha1(data).hexdigest()
    path = tmp_path / "store" / "object" / sha1[:2] / sha1[2:4] / f"{sha1}.png"
    assert path.read_bytes() == data
    assert path == object_path(tmp_path / "store", f"{sha1}.png")
    assert (tmp_path / "store" / "label.csv").read_text() == f"objectId,value\n{sha1}.png,1\n"
    assert done.added == 1


def test_a_second_import_adds_new_files_and_reports_conflicts(tmp_path: Path) -> None:
    for i in range(5):
        image(tmp_path / "decent" / f"{i}.png", i)
    image(tmp_path / "decent" / "same.png", 0)
    first = import_folder(tmp_path / "decent", tmp_path / "store", 0)
    assert (first.added, first.present) == (5, 1)
    image(tmp_path / "decent" / "new.png", 99)
    second = import_folder(tmp_path / "decent", tmp_path / "store", 0)
    assert (second.added, second.present, second.conflicts) == (1, 6, [])
    image(tmp_path / "other" / "0.png", 0)
    image(tmp_path / "other" / "1.png", 200)
    third = import_folder(tmp_path / "other", tmp_path / "store", 1)
    assert third.conflicts == [str(tmp_path / "other" / "0.png")]
    labels = read_labels(tmp_path / "store" / "label.csv")
    assert labels["value"].tolist() == [0] * 6 + [1]


def test_undecodable_images_and_other_files_are_not_imported(tmp_path: Path) -> None:
    data = image(tmp_path / "in" / "a.png", 10)
    (tmp_path / "in" / "cut.png").write_bytes(data[:50])
    (tmp_path / "in" / "fake.jpg").write_text("text")
    (tmp_path / "in" / "notes.txt").write_text("text")
    image(tmp_path / "in" / "liar.jpg", 20)  # a PNG by content
    done = import_folder(tmp_path / "in", tmp_path / "store", 0)
    assert [Path(path).name for path, _ in done.unusable] == ["cut.png", "fake.jpg"]
    assert done.skipped.total() == 1
    labels = read_labels(tmp_path / "store" / "label.csv")
    assert set(labels["objectId"].str[-4:]) == {".png"}
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) == 3  # two objects and the labels, no temporary file


def test_hard_links_share_the_bytes(tmp_path: Path) -> None:
    image(tmp_path / "in" / "a.png", 10)
    import_folder(tmp_path / "in", tmp_path / "store", 0, link=True)
    (object_id,) = read_labels(tmp_path / "store" / "label.csv")["objectId"]
    path = object_path(tmp_path / "store", object_id)
    assert path.samefile(tmp_path / "in" / "a.png")


def test_unusable_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone is not a folder"):
        import_folder(tmp_path / "gone", tmp_path / "store", 0)
    image(tmp_path / "in" / "a.png", 10)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*: Not a directory"):
        import_folder(tmp_path / "in", tmp_path / "file", 0)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "label.csv").write_text("wrong\n")
    with pytest.raises(LabelError, match="first line must be"):
        import_folder(tmp_path / "in", tmp_path / "store", 0)


def test_an_import_restores_missing_and_changed_objects(tmp_path: Path) -> None:
    for i in range(3):
        image(tmp_path / "in" / f"{i}.png", i)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    labels = read_labels(tmp_path / "store" / "label.csv")
    missing, changed, whole = (object_path(tmp_path / "store", name) for name in labels["objectId"])
    before = [path.read_bytes() for path in (missing, changed, whole)]
    missing.unlink()
    changed.write_bytes(b"changed")
    done = import_folder(tmp_path / "in", tmp_path / "store", 0)
    assert (done.added, done.present) == (0, 3)
    assert [path.read_bytes() for path in (missing, changed, whole)] == before
