"""Find files: walk folders, apply globs and ignore files, and follow links if asked to.

The walk opens only folders and ignore files. It is lazy and holds the names of one folder at a
time, so that its memory depends on the largest folder and not on the number of files. Of links that
it follows, it keeps the targets.
"""

import codecs
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from nsfwscan.errors import InputError, Reason
from nsfwscan.limits import TIMEOUT
from nsfwscan.sources.entry import (
    Entry,
    Found,
    Problem,
    Skipped,
    Source,
    problem_of,
    special_file,
)
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.reader import open_regular, read_up_to
from nsfwscan.sources.remote.entries import Remote, place_of
from nsfwscan.sources.remote.url import is_url
from nsfwscan.sources.selection import (
    BYTE_ORDER_MARK,
    Ignore,
    Selection,
    parse_ignore_file,
    skipped,
)
from nsfwscan.util.files import is_temporary

IGNORE_FILE = ".nsfwscanignore"
_IGNORE_FILE_BYTES = 1 << 16


class ByteStream(Protocol):
    """A buffered binary stream, such as `sys.stdin.buffer`."""

    def read1(self, size: int, /) -> bytes:
        """Read 1 to `size` available bytes, or none at the end."""


def discover(
    paths: Iterable[Source],
    selection: Selection,
    timeout: float = TIMEOUT,
) -> Iterator[Found]:
    """Yield the entries at some paths and below them, in a stable order.

    Parameters
    ----------
    paths
        Files, folders, URLs and entries. Entries and problems are yielded unchanged. Symbolic links
        are followed if they are among the paths, and below a folder as the selection says. A path
        that occurs twice in a sequence, or lies below another path, is yielded once. An iterator is
        consumed lazily.
    selection
        Which entries below folders to yield, and which to skip.
    timeout
        Most seconds that the bytes of a URL may take to arrive.

    Yields
    ------
    Entry, Skipped or Problem
        One for each entry. A folder itself yields nothing if it is entered.

    Raises
    ------
    InputError
        If there is a URL, and the library for it is not installed.
    """
    explicit = _entries(paths) if isinstance(paths, Sequence) else set[str]()
    done, walk, remote = set[str](), _Walk(selection, explicit), Remote(timeout)
    for given in paths:
        if isinstance(given, (Entry, Problem)):
            yield given
            continue
        path = os.fspath(given)
        if is_url(path):
            if not explicit:
                yield from remote.entries(path, selection)
            elif (place := place_of(path)) not in done:
                done.add(place)
                yield from remote.entries(path, selection, explicit)
            continue
        problem: Problem | None = None
        try:
            mode, identity = os.stat(path).st_mode, os.path.realpath(path)
        except (OSError, ValueError) as error:
            mode, identity, problem = 0, path, problem_of(path, error, explicit=True)
        if explicit:
            if identity in done:
                continue
            done.add(identity)
        if problem is not None:
            yield problem
        elif stat.S_ISDIR(mode):
            yield from walk.below(path)
        elif stat.S_ISREG(mode):
            yield Entry(path, explicit=True)
        else:
            yield special_file(path, mode)


def _entries(paths: Sequence[Source]) -> set[str]:
    """Return the real paths at which a walk would find the given paths, with links; and URLs."""
    found = {os.curdir}  # not a real path: makes the set true even if no given path exists
    for given in paths:
        if isinstance(given, (Entry, Problem)):
            continue
        path = os.fspath(given)
        if is_url(path):
            found.add(place_of(path))
            continue
        folder, name = os.path.split(path)
        with suppress(OSError, ValueError):  # `discover` reports it when it reaches the path
            os.stat(path)
            found |= {os.path.realpath(path), os.path.join(os.path.realpath(folder), name)}
    return found


def read_list(stream: ByteStream, *, null: bool) -> Iterator[str]:
    r"""Yield the paths of a list, one per line or terminated by NUL bytes.

    Parameters
    ----------
    stream
        The list, in binary mode, because names can contain any bytes.
    null
        Whether NUL bytes terminate the names (``find -print0``), so that a name may contain a
        newline.

    Yields
    ------
    str
        Each path, decoded by `os.fsdecode`. Empty names are ignored. Unless `null`, a carriage
        return before a newline and a byte order mark at the beginning are ignored too.

    Raises
    ------
    InputError
        If the list cannot be read, or is not one of such names.
    """
    end, strip = (b"\0", b"") if null else (b"\n", b"\r")
    rest, at_start = b"", not null
    while chunk := _read_some(stream):
        if at_start:
            if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise InputError("the list of files is in UTF-16; save it as UTF-8")
            chunk, at_start = chunk.removeprefix(BYTE_ORDER_MARK), False
        if not null and b"\0" in chunk:
            raise InputError("NUL bytes end the names in the list of files; give --null")
        *names, rest = (rest + chunk).split(end)
        yield from (_decoded(name) for name in (n.removesuffix(strip) for n in names) if name)
    if last := rest.removesuffix(strip):
        yield _decoded(last)


def _decoded(name: bytes) -> str:
    try:
        return os.fsdecode(name)
    except UnicodeDecodeError as error:  # on Windows, where names are Unicode
        raise InputError(f"the list of files must be in UTF-8, got {name!r}") from error


def _read_some(stream: ByteStream) -> bytes:
    try:
        return stream.read1(1 << 16)  # returns what a pipe has, without waiting for more
    except OSError as error:
        raise InputError(f"the list of files cannot be read: {error.strerror}") from error


_Type = Literal["file", "folder", "link", "special"]


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    real: str
    prefix: str  # relative to the root of the walk, with a final slash; empty for the root
    depth: int
    ignores: tuple[Ignore, ...]


class _Walk:
    """The walks of one scan, which share what links have led to.

    Parameters
    ----------
    selection
        Which entries to yield.
    given
        Real paths that are yielded as such, and not by a walk.
    """

    def __init__(self, selection: Selection, given: Collection[str]) -> None:
        self._selection = selection
        self._given = given
        self._roots = set[str]()  # real paths of the folders walked and the targets of links

    def below(self, root: str) -> Iterator[Found]:
        """Yield the entries below a folder."""
        real_root = os.path.realpath(root)
        self._roots.add(real_root)
        pending = [_Folder(root, real_root, "", 1, ())]
        while pending:
            folder = pending.pop()
            try:
                entries = _list(folder.path)
            except OSError as error:
                yield problem_of(folder.path, error, explicit=False)
                continue
            ignores = folder.ignores
            if self._selection.ignore and (IGNORE_FILE, "file") in entries:
                lines, problem = _read_ignore_file(os.path.join(folder.path, IGNORE_FILE))
                ignores = (*ignores, Ignore(folder.prefix, lines))
                if problem is not None:
                    yield problem
                    entries.remove((IGNORE_FILE, "file"))
            below = []
            for name, kind in entries:
                real = os.path.join(folder.real, name)
                if real in self._given or real in self._roots:
                    continue  # it is yielded as a given path, or by a link that leads to it
                path, prefix = os.path.join(folder.path, name), f"{folder.prefix}{name}/"
                found = self._entry(
                    _Folder(path, real, prefix, folder.depth + 1, ignores), name, kind
                )
                if isinstance(found, _Folder):
                    below.append(found)
                else:
                    yield found
            pending.extend(reversed(below))

    def _entry(self, at: _Folder, name: str, listed: _Type) -> Found | _Folder:
        """Return what is found at a place, or the folder to enter."""
        kind, real = listed, at.real
        if listed == "link" and self._selection.follow:
            try:
                kind, real = _target(at.path)
            except OSError as error:
                return problem_of(at.path, error, explicit=False)
        is_folder = kind == "folder"
        relative = at.prefix.removesuffix("/")
        reason = skipped(
            name, relative, is_folder=is_folder, by=self._selection, ignores=at.ignores
        )
        if reason is None and kind != listed:
            if self._is_found_anyway(real, is_folder=is_folder):
                reason = Kind.LINK
            else:
                self._roots.add(real)
        if reason is not None:
            return Skipped(at.path, reason)
        if not is_folder:
            return _file(at.path, kind, follow=kind != listed)
        most = self._selection.max_depth
        if most is not None and at.depth > most:
            return Skipped(at.path, Kind.DEEPER_FOLDER)
        return replace(at, real=real)

    def _is_found_anyway(self, real: str, *, is_folder: bool) -> bool:
        """Whether a link leads to what the scan yields at its own place.

        If an ignore file excludes it there, it stays excluded.
        """
        names, root = list[str](), real
        while True:
            if root in self._given or root in self._roots:
                return not names or _selects(self._selection, names, is_folder=is_folder)
            parent, name = os.path.split(root)
            if parent == root:
                return False
            names.insert(0, name)
            root = parent


def _target(link: str) -> tuple[_Type, str]:
    """Return the type and the real path of what a link leads to."""
    mode, real = os.stat(link).st_mode, os.path.realpath(link)
    if stat.S_ISDIR(mode):
        return "folder", real
    return ("file" if stat.S_ISREG(mode) else "special"), real


def _selects(selection: Selection, names: Sequence[str], *, is_folder: bool) -> bool:
    """Whether a walk selects an entry, by its names below the root, if no ignore file applies."""
    if selection.max_depth is not None and len(names) > selection.max_depth:
        return False
    last = len(names) - 1
    return all(
        skipped(
            name, "/".join(names[: i + 1]), is_folder=is_folder or i < last, by=selection,
            ignores=(),
        ) is None
        for i, name in enumerate(names)
    )  # fmt: skip


def _file(path: str, kind: _Type, *, follow: bool) -> Found:
    if kind == "file":
        return Entry(path, explicit=False, follow=follow)
    try:
        status = os.stat(path)  # of what a link leads to
        return Skipped(path, Kind.LINK) if kind == "link" else special_file(path, status.st_mode)
    except OSError as error:
        return problem_of(path, error, explicit=False)


def _list(path: str) -> list[tuple[str, _Type]]:
    """List a folder in the order of names, with each entry's type. Links are not followed.

    The folder in which this very process writes its report is left out.
    """

    def type_of(entry: os.DirEntry[str]) -> _Type:
        try:
            if entry.is_symlink() or getattr(entry, "is_junction", bool)():
                return "link"
            if entry.is_dir(follow_symlinks=False):
                return "folder"
            return "file" if entry.is_file(follow_symlinks=False) else "special"
        except OSError:
            return "file"  # opening it reports the problem

    with os.scandir(path) as entries:
        seen = (entry for entry in entries if not is_temporary(entry.name))
        return sorted((entry.name, type_of(entry)) for entry in seen)


def _read_ignore_file(path: str) -> tuple[list[str], Problem | None]:
    """Read an ignore file's patterns, and report the first unusable one."""
    try:
        with open_regular(path, follow=False) as stream:
            data = read_up_to(stream, _IGNORE_FILE_BYTES + 1)
    except OSError as error:
        return [], problem_of(path, error, explicit=False)
    if len(data) > _IGNORE_FILE_BYTES:
        detail = f"an ignore file of more than {_IGNORE_FILE_BYTES:,} bytes is not used"
        return [], Problem(path, Reason.TOO_LARGE, detail)
    lines, complaint = parse_ignore_file(data)
    return lines, None if complaint is None else Problem(path, Reason.CORRUPT, complaint)
