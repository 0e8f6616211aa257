import hashlib
from pathlib import Path

import pytest
from helpers import RGB_PHOTOS, load_photo

from nsfwscan.dataset.objects import object_path
from nsfwtrain.data.audit import PROBLEMS, audit
from nsfwtrain.data.origins import read_origins
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import PART, read_labels, write_table


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in RGB_PHOTOS:
        load_photo(name).save(tmp_path / "in" / f"{name}.jpg", quality=90)
    import_folder(tmp_path / "in", tmp_path / "store", 0)
    return tmp_path / "store"


def test_a_sound_store_has_no_problem(store: Path) -> None:
    assert audit(store).empty


def test_each_problem_is_found(store: Path) -> None:
    first, second, third = read_labels(store / "label.csv")["objectId"][:3]
    object_path(store, first).unlink()
    object_path(store, second).write_bytes(b"other bytes")
    noise = b"\xff\xd8\xff no image"
    fake = hashlib.sha1(noise).hexdigest() + ".jpg"
    object_path(store, fake).parent.mkdir(parents=True, exist_ok=True)
    object_path(store, fake).write_bytes(noise)
    with (store / "label.csv").open("a") as stream:
        stream.write(f"{fake},0\n{third},0\nphoto.jpg,1\n{'0' * 40}.png,2\n")
    found = audit(store)
    assert list(found.columns) == ["problem", "objectId", "detail"]
    ids = found.groupby("problem")["objectId"].agg(set).to_dict()
    assert ids == {
        "malformed": {"photo.jpg"},
        "wrong_value": {"0" * 40 + ".png"},
        "repeated": {third},
        "missing": {"0" * 40 + ".png", first},
        "renamed": {second},
        "undecodable": {fake},
    }
    assert set(found["problem"]) <= set(PROBLEMS)
    details = found.set_index("problem")["detail"]
    assert "line 8" in details["repeated"]
    assert details["wrong_value"].endswith("0.png,2")
    for problem in ("missing", "renamed", "undecodable"):
        rows = found[found["problem"] == problem]
        assert [d.partition(":")[0] for d in rows["detail"]] == rows["objectId"].tolist()
    assert details["renamed"].endswith(f"another hash (from {read_origins(store)[second]})")


def add_near_duplicate(store: Path, folder: Path, label: int) -> str:
    folder.mkdir()
    load_photo("coffee.png").resize((420, 280)).save(folder / "x.jpg", quality=50)
    import_folder(folder, store, label)
    (again,) = (name for name, path in read_origins(store).items() if path.endswith("x.jpg"))
    return again


@pytest.mark.parametrize(
    ("parts", "first"), [(("train", "test"), True), (("test", "validation"), False)]
)
def test_near_duplicates_in_different_parts_are_found(
    store: Path, tmp_path: Path, parts: tuple[str, str], first: bool
) -> None:
    again = add_near_duplicate(store, tmp_path / "again", 0)
    labels = read_labels(store / "label.csv")
    split_file = tmp_path / "split.csv"
    assigned = labels["objectId"].eq(again).map({True: parts[0], False: parts[1]}).astype(PART)
    write_table(split_file, labels.assign(type=assigned))
    found = audit(store, split_file)
    assert found["problem"].tolist() == ["straddling"]
    assert (found["objectId"].tolist() == [again]) == first  # the one to remove
    (pair,) = found["detail"]
    assert pair.startswith(found["objectId"][0] + ": label 0 (decent), ")
    assert f"{again}: label 0 (decent), {parts[0]}, from {tmp_path}/again/x.jpg" in pair
    assert f": label 0 (decent), {parts[1]}, from {tmp_path}/in/coffee.png.jpg" in pair
    write_table(split_file, labels.assign(type="train"))
    assert audit(store, split_file).empty
    assert audit(store).empty


def test_near_duplicates_with_different_labels_are_found_without_a_split(
    store: Path, tmp_path: Path
) -> None:
    again = add_near_duplicate(store, tmp_path / "again", 1)
    found = audit(store)
    assert found["problem"].tolist() == ["conflicting"]
    (pair,) = found["detail"]
    assert f"{again}: label 1 (indecent), from {tmp_path}/again/x.jpg" in pair
    assert f": label 0 (decent), from {tmp_path}/in/coffee.png.jpg" in pair
    labels = read_labels(store / "label.csv")
    write_table(tmp_path / "split.csv", labels.assign(type="train"))
    assert audit(store, tmp_path / "split.csv")["problem"].tolist() == ["conflicting"]
