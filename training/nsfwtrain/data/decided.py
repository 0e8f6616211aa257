"""Find the files that somebody has decided about in a review, also after they were moved."""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from nsfwscan import Selection
from nsfwscan.dataset.decisions import Decisions, read_decisions
from nsfwscan.errors import Reason, StoreError
from nsfwscan.sources.entry import Entry, Found, Problem
from nsfwscan.sources.walk import discover
from nsfwtrain.data.files import Labelled

_LABELS = {"safe": 0, "indecent": 1}


def decided_files(path: Path, moved: Path | None) -> tuple[Iterator[Labelled], int]:
    """Read a ``decisions.json``.

    Parameters
    ----------
    path
        The file.
    moved
        A folder in which files are searched by their SHA-256 that are no longer where they were
        decided about, as after ``nsfwscan apply --move-to``. None: there is none.

    Returns
    -------
    tuple
        The files and their labels, and how many there are. A file that does not have the bytes that
        were decided about is a problem.

    Raises
    ------
    InputError
        If the decisions cannot be read.
    StoreError
        If the folder does not exist.
    """
    if moved is not None and not moved.is_dir():
        raise StoreError(f"{moved} is not a folder; give the folder that files were moved to")
    decisions = read_decisions(path)
    return _files(decisions, moved), len(decisions.decisions)


def _files(decisions: Decisions, moved: Path | None) -> Iterator[Labelled]:
    @cache
    def elsewhere() -> dict[str, str]:
        found = discover([] if moved is None else [moved], Selection(ignore=False, hidden=True))
        paths = [entry.location for entry in found if isinstance(entry, Entry)]
        return {sha256: path for path in paths if (sha256 := _sha256(path)) is not None}

    for decision in decisions.decisions:
        location = decisions.located(decision)
        entry: Found = Entry(location, explicit=True)
        sha256 = _sha256(location)
        if sha256 != decision.sha256:
            other = elsewhere().get(decision.sha256)
            entry = (
                _problem(location, gone=sha256 is None)
                if other is None
                else Entry(other, explicit=True)
            )
        yield entry, _LABELS[decision.decision]


def _problem(location: str, *, gone: bool) -> Problem:
    if gone:
        detail = "it is not there; if it was moved, name the folder that it is in"
        return Problem(location, Reason.NOT_FOUND, detail)
    return Problem(location, Reason.VANISHED, "it has changed since it was decided about")


def _sha256(path: str) -> str | None:
    """Return the digest of a file; None if it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
