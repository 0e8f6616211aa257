from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsfwscan.errors import InputError
from nsfwscan.review.allowlist import (
    Allowance,
    day_of,
    extend,
    merged,
    read_allow_list,
    reason_of,
)

A, B, C = "a" * 64, "b" * 64, "c" * 64
DAY, LATER = date(2026, 11, 28), date(2027, 6, 30)
STATUE = Allowance(sha256=A, added=DAY, until=None, reason="a statue # of stone")
BEACH = Allowance(sha256=B, added=DAY, until=LATER, reason="Am Strand, März")

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
reasons = st.text(min_size=1).map(reason_of).filter(lambda reason: reason is not None)
allowances = st.builds(
    Allowance, sha256=digests, added=st.dates(), until=st.none() | st.dates(), reason=reasons
)
on_one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "allow.txt"


@on_one_file
@given(st.lists(allowances, min_size=1, max_size=5, unique_by=lambda one: one.sha256))
def test_what_is_written_is_read(path: Path, entries: list[Allowance]) -> None:
    path.unlink(missing_ok=True)
    text, added, changed = merged(path, entries)
    assert extend(path, entries) == (added, changed)
    assert read_allow_list(path) == {one.sha256: one for one in entries}
    assert (added, changed) == (len(entries), 0)
    assert merged(path, entries) == (text, 0, 0)


@on_one_file
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_other_file_is_refused_in_a_sentence(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    said = f"{path} is read"
    try:
        read_allow_list(path)
    except InputError as error:
        said = str(error)
    assert said.startswith(str(path))
    assert "\n" not in said


def test_new_entries_come_last_and_other_lines_stay(path: Path) -> None:
    mine = f"# mine\r\n\n{B}\t2026-11-01\t-   to be replaced\n  {A} 2026-11-02 -  kept  as it is"
    path.write_bytes(mine.encode())
    kept = replace(STATUE, reason="kept as it is")  # added on another day
    text, added, changed = merged(path, [replace(BEACH, sha256=C), BEACH, kept])
    head, _, tail = mine.partition(f"{B}\t2026-11-01\t-   to be replaced\n")
    assert text == f"{head}{BEACH.line}{tail}\n{replace(BEACH, sha256=C).line}"
    assert (added, changed) == (1, 1)


def test_of_two_lines_about_one_image_the_one_that_holds_longest_counts(path: Path) -> None:
    short = replace(BEACH, sha256=A)
    for lines in ([STATUE, short, BEACH], [short, BEACH, STATUE]):
        path.write_text("".join(one.line for one in lines))
        assert read_allow_list(path) == {A: STATUE, B: BEACH}
        text, added, changed = merged(path, [short])
        assert text.count(A) == 1
        assert short.line in text
        assert (added, changed) == (0, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{A} 2026-11-28 -", "expected SHA-256, day of addition, last day or -, and reason"),
        (f"{A[1:]} 2026-11-28 - x", "is no SHA-256 in 64 lower-case hex digits"),
        (f"{A.upper()} 2026-11-28 - x", "is no SHA-256"),
        (f"{A} - - x", "'-' is no day such as 2026-11-28"),
        (f"{A} 20261128 - x", "'20261128' is no day"),
        (f"{A} 2026-02-30 - x", "'2026-02-30' is no day"),
        (f"{A} 2026-11-28 never x", "'never' is neither a day such as 2026-11-28 nor -"),
        (f"{A} 2026-11-28 - \x1b[2J", "the reason has a character that cannot be printed"),
        ("\x1b[2J 2026-11-28 - x", r"'\\\\x1b\[2J' is no SHA-256"),
    ],
)
def test_a_wrong_line_is_named(path: Path, line: str, message: str) -> None:
    path.write_text(f"# one\n{STATUE.line}{line}\n")
    with pytest.raises(InputError, match=rf"allow\.txt:3: .*{message}"):
        read_allow_list(path)
    with pytest.raises(InputError, match=rf"allow\.txt:3: .*{message}"):
        merged(path, [BEACH])


def test_what_is_no_text_file_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no allow-list: it is in UTF-16; save it as UTF-8"):
        read_allow_list(path)
    with pytest.raises(InputError, match=r"cannot read .*gone: No such file"):
        read_allow_list(path.with_name("gone"))


def test_an_entry_applies_through_its_last_day() -> None:
    assert BEACH.applies(LATER)
    assert not BEACH.applies(date(2027, 7, 1))
    assert STATUE.applies(date.max)


def test_words_of_the_command_line() -> None:
    assert day_of("2026-11-28") == DAY
    assert day_of("2026-W48-6") is None
    assert reason_of(" a \n statue ") == "a statue"
    assert reason_of(" \t") is reason_of("a\u202eb") is None
