"""Find the files to look at: walk folders, apply globs and ignore files, follow no links.

Nothing is opened here but folders and ignore files. The walk is lazy and holds one folder's names
at a time, so its memory depends on the widest folder, not on how many files there are.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError

from nsfwscan.errors import InputError, Reason
from nsfwscan.filetype import Kind

IGNORE_FILE = ".nsfwscanignore"
_IGNORE_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A regular file, to be looked into. `named`: by the user, not found in a folder."""

    path: str
    named: bool


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """An entry that is passed by, and what it is."""

    path: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that cannot be looked into, and why."""

    path: str
    reason: Reason
    detail: str


Found = Candidate | LeftAlone | Problem


class ByteStream(Protocol):
    """What a list is read from: a binary stream with a buffer, `sys.stdin.buffer` say."""

    def read1(self, size: int, /) -> bytes:
        """Give what is there, at least a byte, at most `size`; nothing at the end."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of the files in a folder are wanted; files that the user names always are.

    Attributes
    ----------
    glob
        Patterns in gitignore syntax, relative to the folder named. A file is wanted if the last
        one that matches has no leading ``!``; where none matches, if all of them have one.
    ignore
        Whether `IGNORE_FILE` in a folder keeps what it matches there and below out of the walk.
    hidden
        Whether entries whose name begins with a dot are wanted.
    max_depth
        How many levels are entered: 1 is the named folder's own files only. None: all.

    Raises
    ------
    InputError
        If a glob is no pattern that can match, or `max_depth` is below 1.
    """

    glob: Sequence[str] = ()
    ignore: bool = True
    hidden: bool = False
    max_depth: int | None = None
    _spec: GitIgnoreSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the options and compile the globs."""
        if self.max_depth is not None and self.max_depth < 1:
            raise InputError(f"max_depth must be 1 or more, got {self.max_depth}")
        for pattern in self.glob:
            try:
                usable = GitIgnoreSpec.from_lines([pattern]).patterns[0].include is not None
            except (GitIgnorePatternError, IndexError):
                usable = False
            if not usable:
                raise InputError(
                    f"the glob {pattern!r} matches nothing; write one like '*.jpg' or '!thumbs/'"
                )
        object.__setattr__(self, "_spec", GitIgnoreSpec.from_lines(self.glob))

    def wants(self, relative: str) -> bool:
        """Tell whether the globs want the file at a path relative to the folder named."""
        verdict = self._spec.check_file(relative).include
        if verdict is None:
            return all(pattern.startswith("!") for pattern in self.glob)
        return verdict

    def enters(self, relative: str) -> bool:
        """Tell whether the globs let the walk enter a folder: only a ``!`` pattern forbids it."""
        return self._spec.check_file(f"{relative}/").include is not False


def discover(paths: Iterable[str | os.PathLike[str]], selection: Selection) -> Iterator[Found]:
    """Yield what lies at some paths and below them, in a stable order.

    Parameters
    ----------
    paths
        Files and folders. Symbolic links among them are followed, those found below are not. If
        it is a sequence, a path in it twice, or also below another one, is yielded once; a stream
        is taken as it comes.
    selection
        Which files below folders are wanted.

    Yields
    ------
    Candidate, LeftAlone or Problem
        One for each entry. Folders that are entered are not entries themselves.
    """
    named = {_real(path) for path in paths} if isinstance(paths, Sequence) else set[str]()
    done = set[str]()
    for given in paths:
        path = os.fspath(given)
        if named and (real := _real(path)) in named:
            if real in done:
                continue
            done.add(real)
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError) as error:
            yield problem_of(path, error, named=True)
            continue
        if stat.S_ISDIR(mode):
            yield from _walk(path, selection, skip=named)
        elif stat.S_ISREG(mode):
            yield Candidate(path, named=True)
        else:
            yield special_file(path, mode)


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
        before a newline belongs to the line's end.
    """
    end, strip = (b"\0", b"") if null else (b"\n", b"\r")
    rest = b""
    while chunk := stream.read1(1 << 16):  # what is there, so that a pipe is followed
        *names, rest = (rest + chunk).split(end)
        yield from (os.fsdecode(name) for name in (n.removesuffix(strip) for n in names) if name)
    if last := rest.removesuffix(strip):
        yield os.fsdecode(last)


def problem_of(path: str, error: OSError | ValueError, *, named: bool) -> Problem:
    """Turn what the operating system said of a path into a `Problem`.

    Parameters
    ----------
    path
        The file or folder.
    error
        What was raised; ValueError stands for a path that no system call takes.
    named
        Whether the user named the path. Then its absence is the user's, not a change under way.
    """
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        if os.path.islink(path):
            return Problem(path, Reason.DANGLING_LINK, "the link's target does not exist")
        if named:
            return Problem(path, Reason.NOT_FOUND, "no such file or folder")
        return Problem(path, Reason.VANISHED, "it was gone when it was opened")
    if isinstance(error, PermissionError):
        return Problem(path, Reason.UNREADABLE, "permission denied")
    if isinstance(error, OSError):
        if error.errno == errno.ELOOP:
            return Problem(path, Reason.DANGLING_LINK, "the link leads back to itself")
        return Problem(path, Reason.UNREADABLE, error.strerror or str(error))
    return Problem(path, Reason.NOT_FOUND, f"no such file can exist: {error}")


def special_file(path: str, mode: int) -> Problem:
    """Report what is neither a file nor a folder, by its `stat` mode."""
    names = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    what = names.get(stat.S_IFMT(mode), "no regular file")
    return Problem(path, Reason.SPECIAL_FILE, f"{what}, which is never opened")


_Type = Literal["file", "folder", "link", "special"]


@dataclass(frozen=True, slots=True)
class _Ignore:
    """The patterns of one ignore file, and where they apply."""

    prefix: str  # of the folder it lies in, relative to the walk's root, ending in a slash
    spec: GitIgnoreSpec

    def verdict(self, relative: str) -> bool | None:
        return self.spec.check_file(relative.removeprefix(self.prefix)).include


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    prefix: str  # relative to the walk's root, with a slash at its end; empty for the root
    depth: int
    ignores: tuple[_Ignore, ...]


def _walk(root: str, selection: Selection, skip: Collection[str]) -> Iterator[Found]:
    real_root = _real(root)
    pending = [_Folder(root, "", 1, ())]
    while pending:
        folder = pending.pop()
        try:
            entries = _list(folder.path)
        except OSError as error:
            yield problem_of(folder.path, error, named=False)
            continue
        ignores = folder.ignores
        if selection.ignore and (IGNORE_FILE, "file") in entries:
            spec, problem = _read_ignore_file(os.path.join(folder.path, IGNORE_FILE))
            ignores = (*ignores, _Ignore(folder.prefix, spec))
            if problem is not None:
                yield problem
                entries.remove((IGNORE_FILE, "file"))
        below = []
        for name, kind in entries:
            path = os.path.join(folder.path, name)
            relative = folder.prefix + name
            if skip and os.path.join(real_root, relative) in skip:
                continue  # it is named too, and has its turn there
            is_folder = kind == "folder"
            left = _left_alone(name, relative, is_folder=is_folder, by=selection, ignores=ignores)
            if left is not None:
                yield LeftAlone(path, left)
            elif not is_folder:
                yield _entry(path, kind)
            elif selection.max_depth is not None and folder.depth >= selection.max_depth:
                yield LeftAlone(path, Kind.DEEPER_FOLDER)
            else:
                below.append(_Folder(path, f"{relative}/", folder.depth + 1, ignores))
        pending.extend(reversed(below))


def _left_alone(
    name: str, relative: str, *, is_folder: bool, by: Selection, ignores: tuple[_Ignore, ...]
) -> Kind | None:
    """Tell as what an entry is left alone by the user's wish; None if it is wanted."""
    if name.startswith(".") and not by.hidden:
        return Kind.HIDDEN_FOLDER if is_folder else Kind.HIDDEN_FILE
    # As git has it: the nearest file that says something about the entry decides.
    asked = f"{relative}/" if is_folder else relative
    verdicts = (ignore.verdict(asked) for ignore in reversed(ignores))
    if next((verdict for verdict in verdicts if verdict is not None), False):
        return Kind.IGNORED_FOLDER if is_folder else Kind.IGNORED_FILE
    if is_folder:
        return None if by.enters(relative) else Kind.UNSELECTED_FOLDER
    return None if by.wants(relative) else Kind.UNSELECTED_FILE


def _entry(path: str, kind: _Type) -> Found:
    if kind == "file":
        return Candidate(path, named=False)
    try:
        if kind == "link":
            os.stat(path)
            return LeftAlone(path, Kind.LINK)
        return special_file(path, os.lstat(path).st_mode)
    except OSError as error:
        return problem_of(path, error, named=False)


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


def _read_ignore_file(path: str) -> tuple[GitIgnoreSpec, Problem | None]:
    """Read an ignore file; what cannot be used of it is reported and left out."""
    nothing = GitIgnoreSpec([])
    try:
        with open(path, "rb") as stream:
            data = stream.read(_IGNORE_FILE_BYTES + 1)
    except OSError as error:
        return nothing, problem_of(path, error, named=False)
    if len(data) > _IGNORE_FILE_BYTES:
        detail = f"an ignore file of more than {_IGNORE_FILE_BYTES:,} bytes is not used"
        return nothing, Problem(path, Reason.TOO_LARGE, detail)
    usable, problem = [], None
    for number, line in enumerate(os.fsdecode(data).splitlines(), start=1):
        try:
            GitIgnoreSpec.from_lines([line])
            usable.append(line)
        except GitIgnorePatternError:
            detail = f"line {number} is no pattern in gitignore syntax and was left out: {line!r}"
            problem = problem or Problem(path, Reason.CORRUPT, detail)
    return GitIgnoreSpec.from_lines(usable), problem


def _real(path: str | os.PathLike[str]) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.fspath(path)
