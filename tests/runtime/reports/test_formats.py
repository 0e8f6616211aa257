import csv
import io
import json
import os
from collections.abc import Callable
from typing import Literal, get_args

import pytest
from helpers import make_about
from runtime.test_record import make_record

from nsfwscan import Reason, Record
from nsfwscan.record import FIELDS
from nsfwscan.reports.output import Format, open_report
from nsfwscan.reports.summary import Summary

FORMATS: list[Format] = [one for one in get_args(Format) if one != "parquet"]
"""Those that are text."""
UGLY = os.fsdecode(b"=cmd|' /C calc'!A0\x1b[2J\xff\n,\".jpg")
RECORDS = [
    make_record(path="low.jpg", status="flagged", score=0.6),
    make_record(path="safe.jpg"),
    make_record(path=UGLY, status="flagged", score=0.9),
    make_record(
        path="bad.jpg", status="error", score=None, reason=Reason.TRUNCATED, detail="it ends"
    ),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(
    records: list[Record],
    format_: Format,
    *,
    paths: Literal["", "\n", "\0"] = "",
    out: io.StringIO | None = None,
    color: Literal["auto", "always", "never"] = "auto",
    quiet: bool = False,
    show_allowed: bool = False,
    say: Callable[[str], None] = print,
) -> str:
    out = out or io.StringIO()
    report = open_report(
        out,
        format_,
        make_about(),
        paths=paths,
        color=color,
        quiet=quiet,
        show_allowed=show_allowed,
        say=say,
    )
    summary = Summary(seconds=1.0)
    for record in records:
        summary.add(record)
        report.add(record)
    report.close(summary)
    return out.getvalue()


def test_text_lists_flagged_images_by_score_then_errors_then_the_summary() -> None:
    assert written(RECORDS, "text").splitlines() == [
        "flagged  0.900  =cmd|' /C calc'!A0\\x1b[2J\\xff\\n,\".jpg",
        "flagged  0.600  low.jpg",
        "error    truncated  bad.jpg: it ends",
        "4 found: 1 safe, 2 flagged, 1 error; 1.0 s, 4.0 images/s",
    ]
    assert "found" not in written(RECORDS, "text", quiet=True)


def test_text_lists_allowed_images_on_request() -> None:
    allowed = make_record(path="b\n.jpg", score=0.75, allowed="a statue")
    shown = "allowed  0.750  b\\n.jpg: a statue\n"
    assert shown in written([*RECORDS, allowed], "text", show_allowed=True)
    assert "statue" not in written([*RECORDS, allowed], "text")
    assert "5 found: 2 safe (1 allowed), 2 flagged" in written([*RECORDS, allowed], "text")


def test_text_is_coloured_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    red = "\x1b[1;31mflagged"
    assert red not in written(RECORDS, "text")
    assert red in written(RECORDS, "text", out=Terminal())
    assert red in written(RECORDS, "text", color="always")
    assert red not in written(RECORDS, "text", out=Terminal(), color="never")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in written(RECORDS, "text", out=Terminal())
    assert red in written(RECORDS, "text", color="always")


def test_lines_are_not_wrapped_and_markup_is_not_interpreted() -> None:
    path = "[bold]:smile: " + "x" * 500 + ".jpg"
    assert path in written([make_record(path=path, status="flagged", score=0.7)], "text")


def test_json_and_json_lines_contain_the_same_records() -> None:
    lines = [json.loads(line) for line in written(RECORDS, "jsonl").splitlines()]
    assert lines == json.loads(written(RECORDS, "json"))
    assert lines == [record.to_dict() for record in RECORDS]
    assert written([], "jsonl") == ""
    assert json.loads(written([], "json")) == []
    assert len(written(RECORDS, "jsonl").splitlines()) == len(RECORDS)


def test_csv_contains_the_same_fields_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(written(RECORDS, "csv"), newline="")))
    assert tuple(rows[0]) == FIELDS
    assert [row["path"] for row in rows] == ["low.jpg", "safe.jpg", f"'{UGLY}", "bad.jpg"]
    assert rows[1] | {"score": "0.25", "cached": "false", "reason": ""} == rows[1]
    assert rows[3]["score"] == ""


@pytest.mark.parametrize("start", "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
def test_csv_quotes_cells_that_start_a_formula(start: str) -> None:
    text = written([make_record(path=f"{start}1+1")], "csv")
    assert f"'{start}1+1" in text


def test_the_paths_report_has_the_exact_bytes_of_flagged_paths() -> None:
    said: list[str] = []
    assert written(RECORDS, "text", paths="\n", say=said.append) == f"low.jpg\n{UGLY}\n"
    assert written(RECORDS, "text", paths="\0") == f"low.jpg\0{UGLY}\0"
    assert said == ["error    truncated  bad.jpg: it ends"]


@pytest.mark.parametrize("format_", FORMATS)
def test_no_control_characters_of_names_reach_a_terminal(format_: Format) -> None:
    assert "\x1b[2J" not in written(RECORDS, format_, out=Terminal())
    assert "\x1b[2J" not in written(RECORDS, format_, out=Terminal(), color="always")
    assert "\x1b[2J" not in written(RECORDS, "text", paths="\n", out=Terminal())


def test_csv_has_one_row_per_record_for_any_name() -> None:
    names = ["a\rb.jpg", "\rx.jpg", "x\r", "\r\n", "a,b", 'q"q', ""]
    text = written([make_record(path=name) for name in names], "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(row) for row in rows] == [len(FIELDS)] * (len(names) + 1)
    assert [row[1].removeprefix("'") for row in rows[1:]] == names


CLASSES = make_record(
    path="a.jpg",
    status="flagged",
    score=0.9,
    precision="reduced",
    classes={"=safe": 0.1, "po\x1b[2Jrn": 0.9},
)


def test_the_classes_of_a_record_are_in_every_format() -> None:
    assert "0.900  a.jpg  (po\\x1b[2Jrn 0.900, =safe 0.100)\n" in written([CLASSES], "text")
    assert json.loads(written([CLASSES], "jsonl"))["classes"] == CLASSES.classes
    (row,) = csv.DictReader(io.StringIO(written([CLASSES], "csv"), newline=""))
    assert json.loads(row["classes"]) == CLASSES.classes
    (run,) = json.loads(written([CLASSES], "sarif"))["runs"]
    assert run["results"][0]["properties"] == {
        "score": 0.9,
        "classes": CLASSES.classes,
        "precision": "reduced",
    }
    page = written([CLASSES], "html")
    first, second = page.index("po\\x1b[2Jrn</bdi> 0.900"), page.index("=safe</bdi> 0.100")
    assert first < second
    for format_ in FORMATS:
        assert "\x1b[2J" not in written([CLASSES], format_, out=Terminal())
