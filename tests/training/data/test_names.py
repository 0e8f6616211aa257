import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.errors import LabelError, StoreError
from nsfwtrain.data.names import (
    NAMES_FILE,
    choose_names,
    label_of,
    parse_names,
    read_names,
    value_of,
    write_names,
)


def test_names_are_kept_by_the_store(tmp_path: Path) -> None:
    store = tmp_path / "new" / "store"
    assert read_names(store) == ("decent", "indecent")
    assert choose_names(store, None) is None
    write_names(store, parse_names("bezpečné, hubená kočka"))
    assert read_names(store) == ("bezpečné", "hubená kočka")
    for names in (None, ("bezpečné", "hubená kočka")):
        assert choose_names(store, names) == ("bezpečné", "hubená kočka")
    assert json.loads((store / NAMES_FILE).read_text("utf-8"))["labels"][0] == "bezpečné"


def test_a_store_has_one_pair_of_names(tmp_path: Path) -> None:
    write_names(tmp_path, ("cat", "dog"))
    with pytest.raises(LabelError, match=r"the labels of .* are cat,dog, not dog,cat; use another"):
        choose_names(tmp_path, ("dog", "cat"))


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
        ("\xff", "is not in UTF-8; save it as UTF-8"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / NAMES_FILE).write_text(content, "latin-1")
    with pytest.raises(LabelError, match=rf"labels\.json.*{message}"):
        read_names(tmp_path)


def test_a_store_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / NAMES_FILE).mkdir()
    with pytest.raises(LabelError, match=r"cannot read .*: Is a directory"):
        read_names(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*: File exists"):
        write_names(tmp_path / "file", ("a", "b"))


words = st.text(st.sampled_from("aAbB"), min_size=1, max_size=3)


@given(st.lists(words, min_size=2, max_size=2, unique=True), words)
def test_a_word_has_one_label_or_none(names: list[str], word: str) -> None:
    pair = (names[0], names[1])
    assert [value_of(text, pair) for text in ("0", "1.0", *pair)] == [0, 1, 0, 1]
    same = [name.lower() == word.lower() for name in names]
    if word not in names:
        assert value_of(word, pair) == (same.index(True) if sum(same) == 1 else None)


def test_an_unknown_word_is_one_sentence() -> None:
    assert label_of("Indecent", None, "line 1") == 1
    with pytest.raises(
        LabelError, match=r"^line 1: the label must be 0, 1, cat or dog, got 'cow'$"
    ):
        label_of("cow", ("cat", "dog"), "line 1")
    with pytest.raises(
        LabelError, match=r"decent or indecent, got 'cow'; give the names of .* with"
    ):
        label_of("cow", None, "line 1")
