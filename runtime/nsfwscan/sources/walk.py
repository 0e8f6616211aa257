"""Find the files to look at: walk folders, apply globs and ignore files, follow no links.

Nothing is opened here but folders and ignore files. The walk is lazy and holds one folder's names
at a time, so its memory depends on the widest folder, not on how many files there are.
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from nsfwscan.errors import InputError, Reason
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped, problem_of, special_file
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.selection import (
    BYTE_ORDER_MARK,
    Ignore,
    Selection,
    parse_ignore_file,
    skipped,
)

IGNORE_FILE = ".nsfwscanignore"
_IGNORE_FILE_BYTES = 1 << 16


class ByteStream(Protocol):
    """What a list is read from: a binary stream with a buffer, `sys.stdin.buffer` say."""

    def read1(self, size: int, /) -> bytes:
        """Give what is there, at least a byte, at most `size`; nothing at the end."""


def discover(
    paths: Iterable[str | os.PathLike[str] | Entry], selection: Selection
) -> Iterator[Found]:
    """Yield what lies at some paths and below them, in a stable order.

    Parameters
    ----------
    paths
        Files, folders and entries. An entry is yielded unchanged. Symbolic links among them are
        followed; those found below folders are not. In a sequence, a path that occurs twice or
        lies below another one is yielded once. An iterator is consumed as it comes.
    selection
        Which files below folders are wanted.

    Yields
    ------
    Entry, Skipped or Problem
        One for each entry. Folders that are entered are not entries themselves.
    """
    named = _entries(paths) if isinstance(paths, Sequence) else set[str]()
    done = set[str]()
    for given in paths:
        if isinstance(given, Entry):
            yield given
            continue
        path = os.fspath(given)
        problem: Problem | None = None
        try:
            mode, identity = os.stat(path).st_mode, os.path.realpath(path)
        except (OSError, ValueError) as error:
            mode, identity, problem = 0, path, problem_of(path, error, explicit=True)
        if named:
            if identity in done:
                continue
            done.add(identity)
        if problem is not None:
            yield problem
        elif stat.S_ISDIR(mode):
            yield from _walk(path, selection, skip=named)
        elif stat.S_ISREG(mode):
            yield Entry(path, explicit=True)
        else:
            yield special_file(path, mode)


def _entries(paths: Sequence[str | os.PathLike[str] | Entry]) -> set[str]:
    """Give the real paths by which a walk would come upon what is named, links included."""
    found = {os.curdir}  # never a real path: even where nothing exists, a sequence is deduplicated
    for given in paths:
        if isinstance(given, Entry):
            continue
        path = os.fspath(given)
        folder, name = os.path.split(path)
        with suppress(OSError, ValueError):  # its turn comes, and says what is wrong
            os.stat(path)
            found |= {os.path.realpath(path), os.path.join(os.path.realpath(folder), name)}
    return found


def read_list(stream: ByteStream, *, null: bool) -> Iterator[str]:
    r"""Yield the paths of a list, one a line, or ended by NUL bytes.

    Parameters
    ----------
    stream
        The list, opened in binary mode: names may be of any bytes.
    null
        Whether NUL bytes end the names (``find -print0``), so that names may hold a newline.

    Yields
    ------
    str
        Each path, decoded as `os.fsdecode` does. Empty lines are passed over; a carriage return
        before a newline belongs to the line's end, and a byte order mark to no name.

    Raises
    ------
    InputError
        If the list cannot be read to its end.
    """
    end, strip = (b"\0", b"") if null else (b"\n", b"\r")
    rest, at_start = b"", not null
    while chunk := _read_some(stream):
        if at_start:
            chunk, at_start = chunk.removeprefix(BYTE_ORDER_MARK), False
        *names, rest = (rest + chunk).split(end)
        yield from (_decoded(name) for name in (n.removesuffix(strip) for n in names) if name)
    if last := rest.removesuffix(strip):
        yield _decoded(last)


def _decoded(name: bytes) -> str:
    try:
        return os.fsdecode(name)
    except UnicodeDecodeError as error:  # on Windows, where names are no bytes
        raise InputError(f"the list of files must be in UTF-8, got {name!r}") from error


def _read_some(stream: ByteStream) -> bytes:
    try:
        return stream.read1(1 << 16)  # what is there, so that a pipe is followed
    except OSError as error:
        raise InputError(f"the list of files cannot be read: {error.strerror}") from error


_Type = Literal["file", "folder", "link", "special"]


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    prefix: str  # relative to the walk's root, with a slash at its end; empty for the root
    depth: int
    ignores: tuple[Ignore, ...]


def _walk(root: str, selection: Selection, skip: Collection[str]) -> Iterator[Found]:
    real_root = os.path.realpath(root)
    pending = [_Folder(root, "", 1, ())]
    while pending:
        folder = pending.pop()
        try:
            entries = _list(folder.path)
        except OSError as error:
            yield problem_of(folder.path, error, explicit=False)
            continue
        ignores = folder.ignores
        if selection.ignore and (IGNORE_FILE, "file") in entries:
            lines, problem = _read_ignore_file(os.path.join(folder.path, IGNORE_FILE))
            ignores = (*ignores, Ignore(folder.prefix, lines))
            if problem is not None:
                yield problem
                entries.remove((IGNORE_FILE, "file"))
        below = []
        for name, kind in entries:
            path = os.path.join(folder.path, name)
            relative = folder.prefix + name
            if skip and os.path.normpath(os.path.join(real_root, relative)) in skip:
                continue  # it is named too, and has its turn there
            is_folder = kind == "folder"
            left = skipped(name, relative, is_folder=is_folder, by=selection, ignores=ignores)
            if left is not None:
                yield Skipped(path, left)
            elif not is_folder:
                yield _entry(path, kind)
            elif selection.max_depth is not None and folder.depth >= selection.max_depth:
                yield Skipped(path, Kind.DEEPER_FOLDER)
            else:
                below.append(_Folder(path, f"{relative}/", folder.depth + 1, ignores))
        pending.extend(reversed(below))


def _entry(path: str, kind: _Type) -> Found:
    if kind == "file":
        return Entry(path, explicit=False)
    try:
        if kind == "link":
            os.stat(path)
            return Skipped(path, Kind.LINK)
        return special_file(path, os.lstat(path).st_mode)
    except OSError as error:
        return problem_of(path, error, explicit=False)


def _list(path: str) -> list[tuple[str, _Type]]:
    """List a folder by name, with what each entry is; links are not followed."""

    def type_of(entry: os.DirEntry[str]) -> _Type:
        try:
            if entry.is_symlink() or getattr(entry, "is_junction", bool)():
                return "link"
            if entry.is_dir(follow_symlinks=False):
                return "folder"
            return "file" if entry.is_file(follow_symlinks=False) else "special"
        except OSError:
            return "file"  # opening it says what is wrong with it

    with os.scandir(path) as entries:
        return sorted((entry.name, type_of(entry)) for entry in entries)


def _open_file(path: str, flags: int) -> int:
    """Open what was a file when it was listed, and may be a pipe or a link by now."""
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags)


def _read_ignore_file(path: str) -> tuple[list[str], Problem | None]:
    """Read an ignore file's patterns; what cannot be used is reported and left out."""
    try:
        with open(path, "rb", opener=_open_file) as stream:
            data = stream.read(_IGNORE_FILE_BYTES + 1)
    except OSError as error:
        return [], problem_of(path, error, explicit=False)
    if len(data) > _IGNORE_FILE_BYTES:
        detail = f"an ignore file of more than {_IGNORE_FILE_BYTES:,} bytes is not used"
        return [], Problem(path, Reason.TOO_LARGE, detail)
    lines, complaint = parse_ignore_file(data)
    return lines, None if complaint is None else Problem(path, Reason.CORRUPT, complaint)
