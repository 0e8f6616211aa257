"""The journal of an action: its steps before the first one, then which ones are done and undone.

A file of JSON lines that only grows::

    {"journal": 1, "action": "move", "input": ..., "folder": ..., "digest": ...,
     "token": ..., "folders": {...}}
    {"op": "move", "path": ..., "target": ..., "state": {...}}
    {"done": 0}
    {"undone": 0}
    {"restored": true}

The file gets its name once all steps are on the disk, and nothing happens before. ``folders`` has
the time stamps of the folders that the steps change. A step that is neither ``done`` nor ``failed``
may have happened in part; each can be done and undone again.
"""

import itertools
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nsfwscan.errors import InputError, OutputError
from nsfwscan.review.plan import numbered, touched_folders
from nsfwscan.review.steps import Action, Step, step_of
from nsfwscan.review.transfer import claim, sync_folder, write_new
from nsfwscan.util.escape import to_json
from nsfwscan.util.files import temporary_folder
from nsfwscan.util.inputs import open_input
from nsfwscan.util.lock import InUseError, locked

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a journal is about.

    Attributes
    ----------
    action
        What is done.
    input, digest
        Absolute path of the decisions or of the report, and the SHA-256 of the file.
    folder
        Absolute path of the target folder, or an empty string.
    token
        A random word in the names of temporary files.
    folders
        Time stamps in nanoseconds of the folders that the steps change.
    """

    action: Action
    input: str
    folder: str
    digest: str = ""
    token: str = ""
    folders: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Content:
    """What a journal says."""

    header: Header
    steps: list[Step] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    is_restored: bool = False
    length: int = 0
    """Bytes up to the last complete line."""

    def temporary(self, number: int, path: str) -> str:
        """Return the temporary name that a step uses beside a path."""
        name = f".nsfwscan-{self.header.token}-{number}.tmp"
        return os.path.join(os.path.dirname(path), name)


def read_journal(path: Path) -> Content:
    """Read a journal. An incomplete last line, as after a kill, is left out.

    Raises
    ------
    InputError
        If it cannot be read, or is none.
    """
    with open_input(path) as stream:
        lines = stream.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    try:
        header = json.loads(lines[0])
        if header.pop("journal") > SCHEMA:
            raise InputError(f"{path} is the journal of a newer nsfwscan; use that one")
        content = Content(Header(**header), length=sum(map(len, lines)))
        for line in lines[1:]:
            _take(json.loads(line), content)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a journal of nsfwscan apply") from error
    return content


def _take(value: dict[str, Any], content: Content) -> None:
    match value:
        case {"op": _}:
            content.steps.append(step_of(value))
        case {"done": int(number)}:
            content.done.add(number)
        case {"failed": int(number)}:
            content.failed.add(number)
        case {"undone": int(number)}:
            content.undone.add(number)
        case {"restored": True}:
            content.is_restored = True
        case _:
            raise ValueError(value)


class Journal:
    """An open journal, to which lines are appended, and which no other process has open.

    Parameters
    ----------
    path
        An existing journal.

    Raises
    ------
    InputError
        If it cannot be read, is none, or another process acts upon it.
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path.with_name(f".{path.name}.nsfwscan-lock")))
            except InUseError as error:
                raise InputError(f"{path} is in use; wait for the end of that command") from error
            except OSError:
                pass  # the file system has no locks
            self.content = read_journal(path)
            try:
                self._file = stack.enter_context(open(path, "ab", buffering=0))
                self._file.truncate(self.content.length)
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror}") from error
            self._stack = stack.pop_all()

    @classmethod
    def create(cls, path: Path, header: Header, steps: Sequence[Step]) -> Self:
        """Write the steps to a new file and wait until they are on the disk.

        The token and the time stamps of the folders are added to the header.

        Raises
        ------
        OutputError
            If the file exists or cannot be written.
        """
        header = replace(header, token=secrets.token_hex(4), folders=_stamps(steps))
        lines = [
            {
                "journal": SCHEMA, "action": header.action, "input": header.input,
                "folder": header.folder, "digest": header.digest, "token": header.token,
                "folders": header.folders,
            },
            *(step.to_dict() for step in steps),
        ]  # fmt: skip
        whole = "".join(f"{to_json(line)}\n" for line in lines).encode()
        try:
            with temporary_folder(path) as folder:
                temporary = os.path.join(folder, path.name)
                write_new(temporary, whole, 0o666)
                claim(temporary, str(path))
        except FileExistsError as error:
            raise OutputError(f"cannot write {path}: it exists; name another file") from error
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        sync_folder(str(path.parent))
        return cls(path)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, after its lines are on the disk."""
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._stack.close()

    def done(self, number: int) -> None:
        """Note that a step is done."""
        self._append({"done": number})
        self.content.done.add(number)

    def failed(self, number: int) -> None:
        """Note that a step could not be done and has changed nothing."""
        self._append({"failed": number})
        self.content.failed.add(number)

    def undone(self, number: int) -> None:
        """Note that a step is undone."""
        self._append({"undone": number})
        self.content.undone.add(number)

    def restored(self) -> None:
        """Note that everything is undone."""
        self._append({"restored": True})
        self.content.is_restored = True

    def _append(self, value: dict[str, Any]) -> None:
        line = f"{to_json(value)}\n".encode()
        try:
            if self._file.write(line) != len(line):
                raise OutputError(f"cannot write {self.path}: the disk is full")
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error


def _stamps(steps: Sequence[Step]) -> dict[str, int]:
    stamps = {}
    for folder in sorted(set(touched_folders(steps))):
        with suppress(OSError):  # a step will create it
            stamps[folder] = os.stat(folder).st_mtime_ns
    return stamps


def resumed(path: Path, header: Header) -> Content:
    """Read the journal of an interrupted run of the same command.

    Raises
    ------
    InputError
        If it is none, or is undone.
    """
    content = read_journal(path)
    found = content.header
    if (found.action, found.input, found.folder) != (header.action, header.input, header.folder):
        raise InputError(
            f"{path} is the journal of another command: {found.action} {found.input} "
            f"{found.folder}; name another file with --journal"
        )
    if found.digest != header.digest:
        raise InputError(
            f"{header.input} has changed since {path} was written; name another file with "
            "--journal to act upon it"
        )
    if content.undone or content.is_restored:
        raise InputError(f"{path} is undone; name another file with --journal to act again")
    return content


def new_journal_path(source: Path, action: Action) -> Path:
    """Return the default path of a journal: beside the decisions or the report, with the time."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in itertools.count(1):
        stem = f"{source.stem}.{action}-{now}"
        path = source.with_name(numbered(f"{stem}.journal.jsonl", stem, number))
        if not os.path.lexists(path):
            return path
    raise AssertionError  # count() never ends
