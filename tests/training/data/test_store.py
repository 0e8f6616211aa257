import hashlib
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import LabelError, StoreError
from nsfwtrain.data.origins import read_origins
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels, write_table
from nsfwtrain.errors import FolderError


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
    origin = tmp_path / "decent" / "0.png"
    assert third.conflicts == [
        (str(tmp_path / "other" / "0.png"), f"already imported from {origin} as label 0 (decent)")
    ]
    labels = read_labels(tmp_path / "store" / "label.csv")
    assert sorted(labels["value"]) == [0] * 6 + [1]


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
    tables = {"label.csv", "origin.csv"}
    assert {path.name for path in files} == tables | set(labels["objectId"])  # no temporary file


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
    with pytest.raises(FolderError, match=r"cannot use the folder .*file: File exists"):
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


def hash_of(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest() + path.suffix


def test_origins_are_the_first_files(tmp_path: Path) -> None:
    image(tmp_path / "in" / "b.png", 1)
    image(tmp_path / "in" / "c.png", 1)
    image(tmp_path / "in" / "d.png", 2)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    image(tmp_path / "later" / "d.png", 2)
    image(tmp_path / "later" / "e.png", 3)
    import_folder(tmp_path / "later", tmp_path / "store", 0)
    expected = [tmp_path / "in" / "b.png", tmp_path / "in" / "d.png", tmp_path / "later" / "e.png"]
    assert read_origins(tmp_path / "store") == {hash_of(path): str(path) for path in expected}


def test_a_store_without_origins_gets_them_when_imported_again(tmp_path: Path) -> None:
    image(tmp_path / "in" / "a.png", 1)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    (tmp_path / "store" / "origin.csv").unlink()
    image(tmp_path / "other" / "a.png", 1)
    (reason,) = import_folder(tmp_path / "other", tmp_path / "store", 1).conflicts
    assert reason[1] == "already imported as label 0 (decent)"
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    assert list(read_origins(tmp_path / "store").values()) == [str(tmp_path / "in" / "a.png")]


def test_the_same_bytes_under_two_extensions_are_one_image(tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (20, 20)), "JPEG")
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpeg"):
        (tmp_path / "in" / name).write_bytes(data)
    done = import_folder(tmp_path / "in", tmp_path / "store", 0)
    assert (done.added, done.present) == (1, 1)
    assert len(read_labels(tmp_path / "store" / "label.csv")) == 1


def test_rows_are_kept_in_hash_order(tmp_path: Path) -> None:
    for name in ("one", "two"):
        for i in range(12):
            image(tmp_path / name / f"{i:02}.png", i + 100 * (name == "two"))
        import_folder(tmp_path / name, tmp_path / "store", 0 if name == "one" else 1)
    rows = read_labels(tmp_path / "store" / "label.csv")
    assert rows["objectId"].is_monotonic_increasing
    assert rows["value"].sum() == 12


def test_a_file_in_another_order_keeps_its_rows(tmp_path: Path) -> None:
    for i in range(8):
        image(tmp_path / "in" / f"{i}.png", i)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    label_file = tmp_path / "store" / "label.csv"
    write_table(label_file, read_labels(label_file)[::-1])
    before = label_file.read_text()
    for i in range(8, 16):
        image(tmp_path / "in" / f"{i}.png", i)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    assert label_file.read_text().startswith(before)
    added = read_labels(label_file)["objectId"][8:]
    assert len(added) == 8
    assert added.is_monotonic_increasing
