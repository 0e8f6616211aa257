import json
from pathlib import Path
from typing import Any

import pytest

from nsfwscan.dataset.decisions import Decision, Decisions, read_decisions
from nsfwscan.errors import InputError

ONE = {
    "path": "photos/a\udcff.jpg", "sha256": "0f" * 32, "sha1": "0f" * 20, "status": "flagged",
    "score": 0.75, "decision": "safe", "decided": "2026-11-28T10:15:00Z",
}  # fmt: skip


def file(tmp_path: Path, *decisions: Any, **changes: Any) -> Path:
    path = tmp_path / "decisions.json"
    value = {"schema": 1, "base": "/home/ann", "decisions": list(decisions)} | changes
    path.write_text(json.dumps(value))
    return path


def test_decisions_are_read(tmp_path: Path) -> None:
    short = {name: ONE[name] for name in ("path", "sha256", "sha1", "decision")} | {"path": "/b"}
    found = read_decisions(file(tmp_path, ONE, short))
    assert found == Decisions(
        base="/home/ann",
        decisions=(
            Decision(**ONE),  # type: ignore[arg-type]
            Decision(path="/b", sha256="0f" * 32, sha1="0f" * 20, decision="safe"),
        ),
    )
    assert list(map(found.located, found.decisions)) == ["/home/ann/photos/a\udcff.jpg", "/b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": ""}, "the field path has the invalid value ''"),
        ({"path": "a\0b"}, "the field path has the invalid value"),
        ({"sha256": None}, "the field sha256 has the invalid value None"),
        ({"sha1": "0F" * 20}, "the field sha1 has"),
        ({"decision": "skip"}, "the field decision has the invalid value 'skip'"),
        ({"score": 2}, "the field score has"),
        ({"status": 1}, "the field status has"),
    ],
)
def test_an_invalid_decision_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"decisions\.json, decision 2: {message}"):
        read_decisions(file(tmp_path, ONE, ONE | changes))


def test_what_are_no_decisions_is_refused(tmp_path: Path) -> None:
    no_hash = {name: value for name, value in ONE.items() if name != "sha256"}
    for found, message in (
        ({"decisions": [no_hash]}, "decision 1: the field sha256 is missing"),
        ({"decisions": [[]]}, "decision 1: expected an object"),
        ({"decisions": [ONE, ONE]}, "has two decisions about photos/a"),
        ({"schema": 2}, "has the schema 2; a newer nsfwscan"),
        ({"base": None}, r"is not a decisions\.json as"),
    ):
        with pytest.raises(InputError, match=message):
            read_decisions(file(tmp_path, **found))
    (tmp_path / "decisions.json").write_text("[1")
    with pytest.raises(InputError, match=r"is not a decisions\.json as"):
        read_decisions(tmp_path / "decisions.json")
    with pytest.raises(InputError, match=r"cannot read .*gone"):
        read_decisions(tmp_path / "gone")
