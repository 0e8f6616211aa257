from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import Selection
from nsfwscan.errors import InputError
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.selection import Ignore, parse_ignore_file, skipped


@pytest.mark.parametrize(
    "glob",
    [
        "",
        "!",
        "# photos",
        "   ",
        "./*.jpg",
        "!./a",
        "../a",
        "a/../*.jpg",
        "a//b",
        "a/./b",
        "{a,./b}",
    ],
)
def test_a_glob_that_matches_nothing_is_refused(glob: str) -> None:
    with pytest.raises(InputError, match=r"matches nothing; globs are relative"):
        Selection(glob=[glob])


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="max_depth must be 1 or more, got 0"):
        Selection(max_depth=0)


def test_a_glob_that_is_a_string_is_refused() -> None:
    with pytest.raises(InputError, match="glob must be a sequence of patterns"):
        Selection(glob="*.jpg")


def test_the_nearest_ignore_file_decides() -> None:
    outer, inner = Ignore("", ["*.jpg"]), Ignore("a/", ["!*.jpg", "/b.jpg"])
    wanted = Selection()

    def left(relative: str, *ignores: Ignore) -> Kind | None:
        name = relative.rpartition("/")[2]
        return skipped(name, relative, is_folder=False, by=wanted, ignores=ignores)

    assert left("a/c.jpg", outer) is Kind.IGNORED_FILE
    assert left("a/c.jpg", outer, inner) is None
    assert left("a/b.jpg", outer, inner) is Kind.IGNORED_FILE
    assert left("a/d/b.jpg", outer, inner) is None
    assert left("a/c.png", outer, inner) is None


def test_comments_and_blank_lines_are_not_patterns() -> None:
    lines, complaint = parse_ignore_file(b"# thumbnails\n\n*.png\r\nlatin-\xe9\n")
    assert complaint is None
    matches = Ignore("", lines).match
    assert matches("a.png") is True
    assert matches("latin-\udce9") is True
    assert matches("thumbnails") is None


@given(st.binary(max_size=80), st.text("ab/*.\n", min_size=1, max_size=12))
def test_any_bytes_are_patterns_or_reported(data: bytes, name: str) -> None:
    lines, complaint = parse_ignore_file(data)
    assert complaint is None or complaint.startswith("line ")
    assert lines or Ignore("", lines).match(name) is None


@pytest.mark.parametrize(
    "line",
    [
        "*a*a*a*b", "x/*1*2*3*4*/y", "**/a/**/b/**", "/a***b*", "*a*a*/*a*a*/x",
        r"\\*\\*\\*\\*x",
    ],
)  # fmt: skip
def test_patterns_that_take_too_long_are_ignored(line: str) -> None:
    """Four stars take 0.2 s for 255 letters. Fourteen would take centuries."""
    lines, complaint = parse_ignore_file(f"*.gif\n{line}\n".encode())
    assert lines == ["*.gif"]
    assert complaint is not None
    assert complaint.startswith("line 2 has too many stars to match in reasonable time")


@pytest.mark.parametrize(
    "line", ["*_thumb_*.*", "**/cache/**/*.jpg", "a*/b*/c*/d*", r"\*\*\*\*", "**"]
)
def test_other_patterns_with_stars_are_used(line: str) -> None:
    assert parse_ignore_file(line.encode()) == ([line], None)


def test_the_number_of_patterns_with_stars_is_limited() -> None:
    """Each pattern takes 4 ms for a name of 255 letters, and a folder can have many names."""
    lines, complaint = parse_ignore_file(b"".join(b"*a*a*%d\n" % i for i in range(7000)))
    assert len(lines) == 12
    assert str(complaint).startswith("line 13 ")
    assert len(parse_ignore_file(b"".join(b"%d\n" % i for i in range(9000)))[0]) == 9000


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("*.{jpg,png}", ["a.jpg", "a1.jpg", "b.png"]),
        ("{a,b}.{jpg,png}", ["a.jpg", "b.png"]),
        ("{a{,1},c}.*", ["a.jpg", "a1.jpg", "c.gif"]),
        ("{c}.gif", ["c.gif"]),
        (r"\{c\}.gif", ["{c}.gif"]),
        ("!*.{jpg,gif}", ["b.png", "!d"]),
        ("{!d,a.jpg}", ["a.jpg", "!d"]),
    ],
)
def test_braces_stand_for_either(glob: str, names: list[str]) -> None:
    selection = Selection(glob=[glob])
    every = ["a.jpg", "a1.jpg", "b.png", "c.gif", "{c}.gif", "!d"]
    assert [name for name in every if selection.wants(name)] == names


@pytest.mark.parametrize("glob", ["*.{jpg", "*.jpg}", "{a,{b}", "{" * 9 + "a"])
def test_a_brace_without_its_other_one_is_refused(glob: str) -> None:
    with pytest.raises(InputError, match="has a brace without its other one"):
        Selection(glob=[glob])


def test_too_many_alternatives_are_refused() -> None:
    with pytest.raises(InputError, match="stand for too many patterns"):
        Selection(glob=["{a,b}" * 40])


def test_the_last_of_several_globs_with_braces_decides() -> None:
    selection = Selection(glob=["*.{jpg,png}", "!{a,b}.*", "b.png"])
    assert [selection.wants(name) for name in ("a.jpg", "b.jpg", "b.png", "c.jpg")] == [
        False, False, True, True,
    ]  # fmt: skip


@given(st.text(alphabet="ab{},\\*/!", max_size=12), st.sampled_from(["a", "ab", "a/b", "{a}"]))
def test_any_glob_is_compiled_or_refused(glob: str, name: str) -> None:
    with suppress(InputError):
        wanted, excluded = Selection(glob=[glob]), Selection(glob=[f"!{glob.removeprefix('!')}"])
        assert (wanted.wants(name) == excluded.wants(name)) == glob.startswith("!")
