from pathlib import Path

import pytest

from nsfwscan import OutputError
from nsfwscan.errors import LabelError
from nsfwtrain.data.tables import (
    by_hash,
    is_by_hash,
    label_frame,
    read_labels,
    read_split,
    sha1s,
    split_frame,
    targets,
    write_table,
)

A, B = "a" * 40 + ".jpg", "b" * 40 + ".png"


def test_files_are_read_as_written(tmp_path: Path) -> None:
    label_file, split_file = tmp_path / "label.csv", tmp_path / "split.csv"
    labels = label_frame([(A, 0), (B, 1)])
    write_table(label_file, labels)
    assert label_file.read_text() == f"objectId,value\n{A},0\n{B},1\n"
    assert read_labels(label_file).equals(labels)
    split = split_frame([(A, 0, "test"), (B, 1, "train")])
    write_table(split_file, split)
    assert split_file.read_text() == f"objectId,value,type\n{A},0,test\n{B},1,train\n"
    assert read_split(split_file).equals(split)
    assert read_split(split_file)["type"].cat.categories.tolist() == ["train", "validation", "test"]


def test_an_empty_file_has_the_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "split.csv", split_frame())
    assert (tmp_path / "split.csv").read_text() == "objectId,value,type\n"
    assert read_split(tmp_path / "split.csv").dtypes.equals(split_frame([(A, 0, "test")]).dtypes)


def test_hashes_and_targets() -> None:
    frame = label_frame([(A, 0), ("b" * 40 + ".tar.gz", 1)])
    assert sha1s(frame).tolist() == ["a" * 40, "b" * 40]
    assert targets(frame).tolist() == [0.0, 1.0]
    assert targets(frame).dtype == "float32"


def test_errors_give_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text(f"objectId,value,type\n{A},1,test\n{B},2,test\n")
    with pytest.raises(LabelError, match=r"split\.csv, line 3: the value must be 0 or 1, got '2'"):
        read_split(path)
    with pytest.raises(OutputError, match=r"cannot write .*gone/split\.csv: there is no folder"):
        write_table(tmp_path / "gone" / "split.csv", split_frame())


def test_hash_order_is_that_of_each_label() -> None:
    rows = label_frame([(A, 1), (B, 1), ("0" * 40 + ".jpg", 0)])
    assert is_by_hash(rows)
    assert not is_by_hash(rows.assign(value=0))
    assert by_hash(rows)["objectId"].tolist() == ["0" * 40 + ".jpg", A, B]
    assert is_by_hash(by_hash(rows).assign(value=0))
    assert is_by_hash(label_frame())
