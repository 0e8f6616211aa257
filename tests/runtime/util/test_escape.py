import json
import os
import re
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.util.escape import UNPRINTABLE, from_unicode, printable, to_json, to_unicode


def test_escapes_are_readable() -> None:
    assert printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("photo\u202egpj.exe") == "photo\\u202egpj.exe"
    assert printable("Grüße 写真.jpg") == "Grüße 写真.jpg"


_VISIBLE = re.compile(
    "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001345f]"
)
"""Signs of Arabic, Syriac, Kaithi and Egyptian that Unicode counts as formats."""


def test_all_that_unicode_calls_control_format_or_separator_is_escaped() -> None:
    for char in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.category(char)
        if kind in {"Cc", "Cf", "Cs", "Zl", "Zp"} and not _VISIBLE.match(char):
            assert UNPRINTABLE.match(char), ascii(char)
        elif kind != "Cn":  # not assigned yet
            assert not UNPRINTABLE.match(char), ascii(char)


def test_marks_beyond_the_first_plane_are_escaped_and_come_back() -> None:
    name = "a\U000e0041b"
    assert printable(name) == "a\\U000e0041b"
    line = to_json({"path": name})
    assert line == '{"path": "a\\udb40\\udc41b"}'
    assert json.loads(line)["path"] == name


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


@given(
    st.text(st.sampled_from("\\\\ud05ce9c8 \udce9\ud800é/"), max_size=20)
    | st.text(st.characters(codec=None), max_size=20)
)
def test_any_text_survives_in_unicode(text: str) -> None:
    shown = to_unicode(text)
    shown.encode()  # holds no lone surrogate
    assert from_unicode(shown) == text


def test_only_names_that_need_it_change_in_unicode() -> None:
    for name in ("写真/a.jpg", r"C:\users\dc\u1234.jpg", "a\nb"):
        assert to_unicode(name) == name
    assert to_unicode(os.fsdecode(b"caf\xe9")) == r"caf\udce9"
    assert to_unicode(r"caf\udce9") == r"caf\u005cudce9"
