import json
import os

from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.util.escape import UNPRINTABLE, printable, to_json


def test_escapes_are_readable() -> None:
    assert printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("photo\u202egpj.exe") == "photo\\u202egpj.exe"
    assert printable("Grüße 写真.jpg") == "Grüße 写真.jpg"


@given(st.binary())
def test_no_name_keeps_control_characters(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert not UNPRINTABLE.search(shown)
    shown.encode("utf-8")


@given(st.binary(), st.text(st.characters(categories=["L", "C", "Z"])))
def test_names_round_trip_through_json(name: bytes, text: str) -> None:
    line = to_json({"path": os.fsdecode(name), "detail": text})
    assert "\n" not in line
    assert not UNPRINTABLE.search(line)
    back = json.loads(line.encode("utf-8"))
    assert os.fsencode(back["path"]) == name
    assert back["detail"] == text


def test_indented_json_keeps_its_lines() -> None:
    assert to_json({"a": "b\x9bc"}, indent=2) == '{\n  "a": "b\\u009bc"\n}'
