"""The file ``decisions.json``: what somebody decided about the images of a scan.

The page of `nsfwscan review` writes it, and `apply`, `allow` and `nsfwtrain import` read it::

    {
      "schema": 1,
      "base": "/home/ann",
      "decisions": [
        {"path": "photos/IMG_1.jpg", "sha256": "5e...", "sha1": "a9...", "status": "flagged",
         "score": 0.93, "decision": "indecent", "decided": "2026-11-28T10:15:00Z"}
      ]
    }
"""

import json
import os
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from nsfwscan.errors import InputError
from nsfwscan.util.digest import is_digest
from nsfwscan.util.inputs import open_input

SCHEMA = 1

Verdict = Literal["safe", "indecent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about one image.

    Attributes
    ----------
    path
        The `path` of its record.
    sha256, sha1
        Lower-case hex digests of the bytes that were decided about.
    status, score
        Those of its record; None if they are unknown.
    decision
        ``indecent`` is label 1, ``safe`` label 0.
    decided
        When, in ISO 8601; None if it is unknown.
    """

    path: str
    sha256: str
    sha1: str
    status: str | None = None
    score: float | None = None
    decision: Verdict
    decided: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The content of a ``decisions.json``.

    Attributes
    ----------
    base
        The folder that relative paths refer to: the current folder of the review.
    decisions
        At most one for each path.
    """

    base: str
    decisions: tuple[Decision, ...]

    def located(self, decision: Decision) -> str:
        """Return the path of a decision's file, absolute if `base` is."""
        return os.path.join(self.base, decision.path)


def read_decisions(path: Path) -> Decisions:
    """Read a ``decisions.json``.

    Raises
    ------
    InputError
        If it cannot be read, or is none. The message names the decision and the field.
    """
    try:
        with open_input(path) as stream:
            value = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise _none(path) from error
    match value:
        case {"schema": int(schema)} if schema > SCHEMA:
            raise InputError(f"{path} has the schema {schema}; a newer nsfwscan reads it")
        case {"schema": int(), "base": str(base), "decisions": list(listed)}:
            decisions = [_decision(one, f"{path}, decision {n}") for n, one in enumerate(listed, 1)]
        case _:
            raise _none(path)
    seen = set[str]()
    for decision in decisions:
        if decision.path in seen:
            raise InputError(f"{path} has two decisions about {decision.path}; remove one")
        seen.add(decision.path)
    return Decisions(base=base, decisions=tuple(decisions))


def _none(path: Path) -> InputError:
    return InputError(f"{path} is not a decisions.json as the page of nsfwscan review exports it")


def _decision(value: Any, where: str) -> Decision:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object")
    given: dict[str, Any] = {}
    for field in fields(Decision):
        name = field.name
        if name not in value and field.default is MISSING:
            raise InputError(f"{where}: the field {name} is missing")
        content = value.get(name)
        if not _is_valid(name, content):
            raise InputError(f"{where}: the field {name} has the invalid value {content!r:.100}")
        given[name] = content
    return Decision(**given)


def _is_valid(name: str, content: Any) -> bool:
    match name:
        case "path":
            return isinstance(content, str) and content != "" and "\0" not in content
        case "sha256" | "sha1":
            return is_digest(name, content)
        case "decision":
            return content in get_args(Verdict)
        case "score":
            return content is None or (type(content) in {int, float} and 0 <= content <= 1)
    return content is None or isinstance(content, str)
