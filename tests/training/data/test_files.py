import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.errors import LabelError, StoreError
from nsfwscan.sources.entry import Entry, Problem
from nsfwtrain.data.files import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    Labelled,
    files_of_list,
    files_of_subfolders,
    labelled_files,
)

PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ("cat", "dog")


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)


def labels(files: list[Labelled], root: Path) -> dict[str, int]:
    return {
        os.path.relpath(entry.location, root): label
        for entry, label in files
        if isinstance(entry, Entry)
    }


def listed(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding)
    return path


@given(st.sampled_from(PATH_COLUMNS), st.sampled_from(LABEL_COLUMNS), st.booleans(), st.booleans())
def test_columns_are_found_by_name(
    tmp_path_factory: pytest.TempPathFactory, path: str, label: str, upper: bool, swapped: bool
) -> None:
    root = tmp_path_factory.mktemp("list")
    touch(root, "a.png", "deep/b.png")
    rows = [(path, label), ("a.png", "0"), ("deep/b.png", "Indecent"), (str(root / "a.png"), "0")]
    if upper:
        rows[0] = (path.upper(), label.capitalize())
    lines = [f"{b},7,{a}" if swapped else f"{a},7,{b}" for a, b in rows]
    lines[0] = lines[0].replace("7", "size")
    found = list(files_of_list(listed(root / "list.csv", "\n".join(lines)), None))
    assert labels(found, root) == {"a.png": 0, "deep/b.png": 1}
    assert len(found) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lists_may_have_any_separator_and_begin_with_a_byte_order_mark(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    touch(tmp_path, "a, b.png", "č.png")
    rows = ["path,label", '"a, b.png",dog', "", "č.png,CAT"]
    text = "\r\n".join(rows).replace(",", separator).replace(f"{separator} b", ", b")
    found = files_of_list(listed(tmp_path / "list.csv", text, encoding), NAMES)
    assert labels(list(found), tmp_path) == {"a, b.png": 1, "č.png": 0}


def test_blank_rows_of_a_list_are_left_out_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    text = "\npath,label\na.png, 1 \n  \n,\n\nb.png,0\n\n"
    found = files_of_list(listed(tmp_path / "list.csv", text), None)
    assert labels(list(found), tmp_path) == {"a.png": 1, "b.png": 0}
    with pytest.raises(LabelError, match=r"list\.csv, line 7: the label must be"):
        files_of_list(listed(tmp_path / "list.csv", text.replace("b.png,0", "b.png,x")), None)


def test_columns_may_be_chosen(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = listed(tmp_path / "list.csv", "path,file,label,who\nx,a.png,3,1\n")
    with pytest.raises(LabelError, match=r"one column called path or file or .*with --path-column"):
        files_of_list(path, None, label_column="who")
    found = files_of_list(path, None, path_column="file", label_column="Who")
    assert labels(list(found), tmp_path) == {"a.png": 1}
    with pytest.raises(LabelError, match=r"line 1: expected one column called gone, got 'path"):
        files_of_list(path, None, path_column="file", label_column="gone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected one column"),
        ("a.png,0\n", "line 1: expected one column called path .*, got 'a.png, 0'"),
        ("path,label\na.png,0\nb.png,cow\n", "line 3: the label must be 0, 1, cat or dog, got"),
        ("path;label\n", " lists no files; add a row with"),
        ("path,label\n ,0\n", "line 2: the path is empty"),
        ("path,label\na.png\n", "line 2: expected 2 cells as in line 1, got 1"),
        ("path,label\na.png,0\n./a.png,dog\n", "line 3: ./a.png has label 1, but label 0 in"),
        ("path,label\n\udcff,0\n", "is not in UTF-8; save it as UTF-8"),
    ],
)  # fmt: skip
def test_bad_lists_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(LabelError, match=rf"list\.csv.*{message}"):
        files_of_list(tmp_path / "list.csv", NAMES)


def test_listed_files_that_do_not_exist_are_problems(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = listed(tmp_path / "list.csv", "path,label\ngone.png,0\nfolder,1\n")
    gone, folder = (entry for entry, _ in files_of_list(path, None))
    assert isinstance(gone, Problem)
    assert gone.detail == "no such file or folder"
    assert isinstance(folder, Problem)


def test_subfolders_are_labels(tmp_path: Path) -> None:
    touch(tmp_path, "Cat/a.png", "cat/deep/b.png", "1/c.png", ".hidden/d.png", "dog/cat/e.png")
    (tmp_path / "notes.txt").write_text("text")
    found = files_of_subfolders(tmp_path, Path("store"), NAMES)
    assert labels([f for f in found if "notes" not in f[0].location], tmp_path) == {
        "Cat/a.png": 0, "cat/deep/b.png": 0, "1/c.png": 1, "dog/cat/e.png": 1,
    }  # fmt: skip


def test_the_current_folder_has_subfolders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "decent/a.png", "indecent/b.png")
    monkeypatch.chdir(tmp_path)
    found = list(files_of_subfolders(Path(), Path("store"), None))
    assert labels(found, tmp_path) == {"decent/a.png": 0, "indecent/b.png": 1}


@pytest.mark.parametrize(
    ("files", "names", "message"),
    [
        (
            "cat/a dog/b", None,
            "use: nsfwtrain import .*in --store 'my store' --by-folder --labels cat,dog .label 1",
        ),
        ("cat/a dog/b cow/c", None, "cat: the label must be 0, 1, decent or indecent, got 'cat'"),
        ("cat/a dog/b cow/c", NAMES, "cow: the label must be 0, 1, cat or dog, got 'cow'"),
        ("cat/a dog/b c.png", NAMES, "c.png is in no subfolder"),
        ("cat/a dog/b c", NAMES, "in/c is in no subfolder"),
        ("cat/a", NAMES, "no subfolder of label 1, which is called 1 or dog"),
        ("1/a", None, "no subfolder of label 0, which is called 0 or decent"),
    ],
)  # fmt: skip
def test_unclear_subfolders_are_one_sentence(
    tmp_path: Path, files: str, names: tuple[str, str] | None, message: str
) -> None:
    touch(tmp_path / "in", *files.split())
    with pytest.raises(LabelError, match=message):
        files_of_subfolders(tmp_path / "in", Path("my store"), names)


def test_a_label_may_be_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    for label in ("1", "dog", "DOG"):
        found = labelled_files(tmp_path, Path("store"), NAMES, label=label)
        assert labels(list(found), tmp_path) == {"a.png": 1}


def test_an_import_has_one_kind_of_source(tmp_path: Path) -> None:
    store = Path("store")
    path = listed(tmp_path / "list.csv", "path,label\na.png,1\n")
    both = "give a folder and --label, a folder and --by-folder, or a list in a file"
    with pytest.raises(LabelError, match=both):
        labelled_files(tmp_path, store, None)
    with pytest.raises(LabelError, match=both):
        labelled_files(tmp_path, store, None, label="0", by_folder=True)
    with pytest.raises(StoreError, match=r"list\.csv is not a folder; .* images of one label"):
        labelled_files(path, store, None, label="0")
    with pytest.raises(StoreError, match=r"list\.csv is not a folder; .* subfolder for each label"):
        labelled_files(path, store, None, by_folder=True)
    with pytest.raises(LabelError, match=r"--path-column and --label-column need a list"):
        labelled_files(tmp_path, store, None, label="0", path_column="path")
    with pytest.raises(LabelError, match=r"cannot read .*gone: No such file"):
        labelled_files(tmp_path / "gone", store, None)
    ((_, label),) = labelled_files(path, store, None)
    assert label == 1
