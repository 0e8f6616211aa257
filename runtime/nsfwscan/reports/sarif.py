"""The report in SARIF 2.1.0, which code hosts show as alerts."""

import os
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, TextIO
from urllib.parse import quote_from_bytes

from nsfwscan.errors import REASONS
from nsfwscan.record import Record
from nsfwscan.reports.about import About
from nsfwscan.reports.report import Report
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.remote.url import encoded, is_url
from nsfwscan.util.escape import printable, to_json

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_BASE = "%SRCROOT%"
"""The name that code hosts know for the root of a checkout."""

_FLAGGED = "flagged"


class SarifReport(Report):
    """One run whose results are the flagged images and the errors, written as they come.

    With `show_allowed`, allowed images are results too, suppressed with their reason.
    """

    def __init__(self, out: TextIO, about: About, *, show_allowed: bool) -> None:
        super().__init__(out)
        self._about = about
        self._show_allowed = show_allowed
        self._separator = "\n"
        head = to_json(_head(about))
        # The run stays open for the results.
        out.write(f'{{"$schema": "{SCHEMA}", "version": "2.1.0", "runs": [\n{head[:-1]},\n')
        out.write('"results": [')

    def add(self, record: Record) -> None:
        """Write one result, if the record is a finding."""
        if record.status != "safe" or (self._show_allowed and record.allowed is not None):
            self._out.write(f"{self._separator}{to_json(_result(record, self._about))}")
            self._separator = ",\n"

    def close(self, summary: Summary) -> None:
        """Write the end of the run: how it went."""
        invocation = {
            "executionSuccessful": not (summary.interrupted or summary.failed),
            "startTimeUtc": _time(self._about.started),
            "endTimeUtc": _time(datetime.now(UTC)),
        }
        end = to_json({"invocations": [invocation], "properties": {"summary": summary.line()}})
        self._out.write(f"\n],\n{end[1:]}\n]}}\n")
        super().close(summary)


def _head(about: About) -> dict[str, Any]:
    label = printable(about.label)
    rules = [_rule(_FLAGGED, "error", f"The model takes the image for {label}.")]
    rules += (
        _rule(reason, "warning", f"The image has no score: {said.replace('`', '')}.")
        for reason, said in REASONS.items()
    )
    driver = {"name": "nsfwscan", "version": about.version, "rules": rules}
    return {
        "tool": {"driver": driver},
        "originalUriBaseIds": {
            _BASE: {"description": {"text": "The folder in which nsfwscan ran."}}
        },
    }


def _rule(name: str, level: str, said: str) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": said},
        "defaultConfiguration": {"level": level},
    }


def _result(record: Record, about: About) -> dict[str, Any]:
    if record.status == "error":
        rule, level = str(record.reason), "warning"
        said = f"This image could not be scored: {printable(record.detail or rule)}."
    else:
        rule, level = _FLAGGED, "error"
        said = (
            f"This image may be {printable(about.label)}: {printable(about.model)} gives it the"
            f" score {record.score}, and the threshold is {record.threshold}."
        )
    result: dict[str, Any] = {
        "ruleId": rule,
        "level": level,
        "message": {"text": said},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": artifact_location(record.path),
                    "region": {"startLine": 1},  # some code hosts show no result without one
                }
            }
        ],
    }
    if record.sha256 is not None:
        # The second name is the only one that GitHub compares.
        names = ("imageSha256/v1", "primaryLocationLineHash")
        result["partialFingerprints"] = dict.fromkeys(names, record.sha256)
    if record.score is not None:
        result["properties"] = {"score": record.score}
    if record.classes is not None:
        result["properties"] |= {"classes": record.classes}
    if record.frame is not None:
        result["properties"] |= {"frame": record.frame, "totalFrames": record.total_frames}
    if record.precision is not None:
        result["properties"] |= {"precision": record.precision}
    if record.allowed is not None:
        result["suppressions"] = [{"kind": "external", "justification": record.allowed}]
    return result


def artifact_location(path: str) -> dict[str, str]:
    """Return where a file is, in SARIF's words.

    A relative path stays one, with the folder of the scan as its base, unless it leads out of that
    folder. Bytes that are not UTF-8 are percent-encoded as they are. A URL stays one, with the key
    of an object percent-encoded.
    """
    if is_url(path):
        return {"uri": encoded(path)}
    pure = PurePath(path)
    if ".." in pure.parts:
        pure = PurePath(os.path.abspath(path))
    if pure.is_absolute():
        return {"uri": pure.as_uri()}
    return {"uri": quote_from_bytes(os.fsencode(pure.as_posix())), "uriBaseId": _BASE}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
