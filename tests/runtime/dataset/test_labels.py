import codecs
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nsfwscan.dataset.labels import (
    Assigned,
    Label,
    is_object_id,
    read_held_out,
    read_labels,
    read_split,
)
from nsfwscan.errors import LabelError


def object_id(number: int) -> str:
    return hashlib.sha1(str(number).encode()).hexdigest() + ".jpg"


def test_object_ids_are_recognised() -> None:
    assert is_object_id("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33.jpg")
    assert not is_object_id("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33")
    assert not is_object_id("0BEEC7B5EA3F0FDBC95D0DD47F3C5BC275DA8A33.jpg")
    assert not is_object_id("../" + "0" * 37 + ".jpg")
    assert Label("0beec7.jpg", 1).sha1 == "0beec7"


def test_label_and_split_files_are_read_in_order(tmp_path: Path) -> None:
    labels = [Label(object_id(i), i % 2) for i in range(3)]
    (tmp_path / "label.csv").write_text(
        f"objectId,value\n{object_id(0)},0\n{object_id(1)},1\n{object_id(2)},0\n"
    )
    assert read_labels(tmp_path / "label.csv") == labels
    (tmp_path / "split_label.csv").write_text(
        f"objectId,value,type\n{object_id(0)},0,test\n{object_id(1)},1,train\n"
    )
    assert read_split(tmp_path / "split_label.csv") == [
        Assigned(labels[0], "test"),
        Assigned(labels[1], "train"),
    ]


GOOD = object_id(1)


def test_held_out_scores_are_read(tmp_path: Path) -> None:
    path = tmp_path / "held_out.csv"
    path.write_text(f"objectId,value,score\n{GOOD},1,0.25\n")
    assert read_held_out(path) == [(Label(GOOD, 1), 0.25)]
    for text in ("", "x", "nan", "1.5", "-0.1"):
        path.write_text(f"objectId,value,score\n{GOOD},1,{text}\n")
        with pytest.raises(LabelError, match=f"line 2: the score must be .* 0 to 1, got '{text}'"):
            read_held_out(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be objectId,value, got $"),
        ("id,label\n", "first line must be objectId,value, got id,label"),
        (f"objectId,value\n{GOOD},2\n", "line 2: the value must be 0 or 1, got '2'"),
        (f"objectId,value\n{GOOD},\n", "line 2: the value must be 0 or 1, got ''"),
        (f"objectId,value\n{GOOD},0.5\n", "line 2: the value must be 0 or 1, got '0.5'"),
        (f"objectId,value\n\n{GOOD},1,\n", "line 3: expected objectId, value, got"),
        (f"objectId,value\n{GOOD},1\n{GOOD}\n", "line 3: expected objectId, value, got"),
        (f"objectId,value\n{GOOD.upper()},1\n", "line 2: .* is not an object ID"),
        ("objectId,value\nphoto.jpg,1\n", r"line 2: 'photo\.jpg' is not an object ID"),
        (f"objectId,value\n{GOOD},1\n{GOOD},0\n", f"line 3: the image {GOOD} repeats line 2"),
        (f"objectId,value\n{GOOD},1\n{GOOD}x,1\n", f"line 3: the image {GOOD}x repeats line 2"),
    ],
)
def test_the_error_for_an_invalid_label_file_gives_the_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "label.csv").write_text(text)
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "label.csv")


OTHER = object_id(2)


@pytest.mark.parametrize(
    "text",
    [
        f"objectId,value\n{GOOD},1\n{OTHER},0\n\n",
        f"objectId,value\n{GOOD},1\n\n{OTHER},0",
        f"\nobjectId,value\n{GOOD},1\n  \n,\n{OTHER},0\n\t\n",
        f"objectId,value \n{GOOD},1 \n{OTHER} , 0\n",
        f"objectId,value\r\n{GOOD},1\r\n{OTHER},0\r\n\r\n",
        f"objectId,value\r{GOOD},1\r{OTHER},0\r",
        f'"objectId","value"\n"{GOOD}","1"\n"{OTHER}" ,"0" \n',
        f"\ufeffobjectId;value\n{GOOD};1\n{OTHER};0\n;\n",
        f"objectId\tvalue\n{GOOD}\t1.0\n{OTHER}\t0.0\n",
    ],
)
def test_label_files_are_read_as_people_save_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "label.csv").write_bytes(text.encode())
    assert read_labels(tmp_path / "label.csv") == [Label(GOOD, 1), Label(OTHER, 0)]


def test_blank_rows_count_as_lines_of_a_split_and_of_scores(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"objectId,value,type\n\n{GOOD},1,test \n,,\n")
    assert read_split(path) == [Assigned(Label(GOOD, 1), "test")]
    path.write_text(f"objectId,value,type\n\n{GOOD},1,dev\n")
    with pytest.raises(LabelError, match=r"s\.csv, line 3: the type must be one of"):
        read_split(path)
    path.write_text(f"objectId,value,score\n\n{GOOD},1, 0.25 \n\n")
    assert read_held_out(path) == [(Label(GOOD, 1), 0.25)]


def test_an_open_quote_is_an_error_of_the_line_on_which_it_begins(tmp_path: Path) -> None:
    rest = "".join(f"{object_id(i)},0\n" for i in range(100))
    (tmp_path / "label.csv").write_text(f'objectId,value\n{OTHER},0\n"{GOOD},1\n{rest}')
    with pytest.raises(LabelError, match=r"line 3: expected objectId, value, got") as caught:
        read_labels(tmp_path / "label.csv")
    assert len(str(caught.value)) < 300


def test_an_unknown_split_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"objectId,value,type\n{GOOD},1,dev\n")
    with pytest.raises(LabelError, match="line 2: the type must be one of train, validation, test"):
        read_split(tmp_path / "s.csv")


def test_unusable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"cannot read .*gone\.csv: No such file"):
        read_labels(tmp_path / "gone.csv")
    with pytest.raises(LabelError, match=r"cannot read .*: Is a directory"):
        read_labels(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes need POSIX")
@pytest.mark.parametrize("read", [read_labels, read_split, read_held_out])
def test_a_pipe_is_refused_and_not_waited_for(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LabelError, match="pipe is a pipe or a device; save the table in a file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"objectId,value\n{GOOD},1\n".encode("utf-16"), "is in UTF-16; save it as UTF-8"),
        (codecs.BOM_UTF16_BE + "objectId".encode("utf-16-be"), "is in UTF-16; save it as UTF-8"),
        (b"objectId,value\n" + b"gr\xfc\xdfe.png,1\n", "is not in UTF-8; save it as UTF-8"),
        (b"\xef\xbb\xbfobjectId\xff", "is not in UTF-8; save it as UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(LabelError) as caught:
        read_labels(tmp_path / "l.csv")
    assert str(caught.value) == f"{tmp_path / 'l.csv'} {said}"
