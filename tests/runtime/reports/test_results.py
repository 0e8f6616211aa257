import json
from pathlib import Path
from typing import Any

import pytest
from runtime.test_record import make_record

from nsfwscan.errors import InputError, Reason
from nsfwscan.record import Record
from nsfwscan.reports.results import read_results
from nsfwscan.util.escape import to_json

RECORDS = [
    make_record(path="a\udcff.jpg"),
    make_record(path="b\n.jpg", score=0.75, allowed="a statue", classes={"a": 0.75, "b": 1.0}),
    make_record(
        path="c", status="error", score=None, reason=Reason.TRUNCATED, sha256=None, frames=0
    ),
]


def read(path: Path) -> tuple[list[Record], list[str]]:
    said: list[str] = []
    return list(read_results(path, said.append)), said


def test_both_formats_give_the_records_back(tmp_path: Path) -> None:
    lines = [to_json(record.to_dict()) for record in RECORDS]
    (tmp_path / "r.jsonl").write_text("\n".join(lines) + "\n\n")
    (tmp_path / "r.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    assert read(tmp_path / "r.jsonl") == read(tmp_path / "r.json") == (RECORDS, [])
    for empty in ("", "[]\n"):
        (tmp_path / "r.json").write_text(empty)
        assert read(tmp_path / "r.json") == ([], [])


def test_a_line_that_an_interrupted_scan_left_incomplete_is_skipped(tmp_path: Path) -> None:
    lines = "".join(to_json(record.to_dict()) + "\n" for record in RECORDS)
    (tmp_path / "r.jsonl").write_text(lines[:-30])
    records, (said,) = read(tmp_path / "r.jsonl")
    assert records == RECORDS[:2]
    assert "ends within line 3" in said


def test_records_of_other_versions_are_read(tmp_path: Path) -> None:
    old = RECORDS[0].to_dict() | {"schema": 1}
    for name in ("views", "allowed", "frame", "total_frames", "classes", "precision"):
        del old[name]
    new = RECORDS[2].to_dict() | {"schema": 9, "reason": "too-odd", "detail": "it is odd", "x": []}
    (tmp_path / "r.json").write_text(json.dumps([old, new]))
    (first, second), _ = read(tmp_path / "r.json")
    assert (first.schema, first.views, first.allowed, first.path) == (1, 0, None, RECORDS[0].path)
    assert (first.frame, first.total_frames) == (None, None)
    assert (second.reason, second.detail) == (None, "too-odd: it is odd")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"score": "0.5"}, "score"),
        ({"score": 1.5}, "score"),
        ({"score": None}, "score"),
        ({"status": "error"}, "score"),
        ({"status": "fine"}, "status"),
        ({"threshold": None}, "threshold"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"path": 1}, "path"),
        ({"detail": 1}, "detail"),
        ({"allowed": True}, "allowed"),
        ({"reason": 1}, "reason"),
        ({"frames": -1}, "frames"),
        ({"width": 0.5}, "width"),
        ({"cached": 1}, "cached"),
        ({"classes": "a"}, "classes"),
        ({"classes": {"a": 2}}, "classes"),
        ({"precision": "fp32"}, "precision"),
        ({"status": ["safe"]}, "status"),
    ],
)
def test_an_invalid_field_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = tmp_path / "r.jsonl"
    values = [RECORDS[0].to_dict(), RECORDS[0].to_dict() | changes]
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    with pytest.raises(InputError, match=rf"r\.jsonl, line 2: the field {field} has the invalid"):
        read(path)


@pytest.mark.parametrize("text", ["{}", "[1]", "[", '{"path": "a"}', "path,score\na,0\n", "x\ny"])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(InputError, match="this is no record of a scan; pass what nsfwscan"):
        read(tmp_path / "r")
    with pytest.raises(InputError, match=r"cannot read .*gone: No such file"):
        read(tmp_path / "gone")
