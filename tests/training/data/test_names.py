import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.errors import LabelError
from nsfwtrain.data.names import NAMES_FILE, keep_names, parse_names, read_names, value_of


def test_names_are_kept_by_the_store(tmp_path: Path) -> None:
    store = tmp_path / "new" / "store"
    assert read_names(store) == ("decent", "indecent")
    keep_names(store, parse_names("bezpečné, hubená kočka"))
    keep_names(store, ("bezpečné", "hubená kočka"))
    assert read_names(store) == ("bezpečné", "hubená kočka")
    assert json.loads((store / NAMES_FILE).read_text("utf-8"))["labels"][0] == "bezpečné"


def test_other_names_change_nothing(tmp_path: Path) -> None:
    keep_names(tmp_path, ("cat", "dog"))
    before = (tmp_path / NAMES_FILE).read_bytes()
    with pytest.raises(LabelError, match=r"the labels of .* are cat,dog, not dog,cat; use another"):
        keep_names(tmp_path, ("dog", "cat"))
    assert (tmp_path / NAMES_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("safe", "expected the names of label 0 and label 1, for example safe,indecent, got 'safe"),
        ("a,b,c", "expected the names"),
        ("safe,", "1 to 60 characters, not 0 or 1, got ''"),
        ("1,0", "not 0 or 1, got '1'"),
        ("a," + "b" * 61, "1 to 60 characters"),
        ("a,b\x1b[2J", "no control character"),
        ("a,a", "must be different, got 'a' twice"),
    ],
)
def test_bad_names_are_one_sentence(text: str, message: str) -> None:
    with pytest.raises(LabelError, match=f"--labels: .*{message}"):
        parse_names(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1, 2]", "expected"),
        ('{"labels": ["a", 1]}', "expected"),
        ('{"labels": ["a,b", "c"]}', "no comma"),
        ("\xff", "is not JSON"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / NAMES_FILE).write_text(content, "latin-1")
    with pytest.raises(LabelError, match=rf"labels\.json.*{message}"):
        read_names(tmp_path)


def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabelError, match="Not a directory"):
        keep_names(tmp_path / "file", ("a", "b"))


words = st.text(st.sampled_from("aAbB"), min_size=1, max_size=3)


@given(st.lists(words, min_size=2, max_size=2, unique=True), words)
def test_a_word_has_one_label_or_none(names: list[str], word: str) -> None:
    pair = (names[0], names[1])
    assert [value_of(text, pair) for text in ("0", "1", *pair)] == [0, 1, 0, 1]
    same = [name.lower() == word.lower() for name in names]
    if word not in names:
        assert value_of(word, pair) == (same.index(True) if sum(same) == 1 else None)
