"""What a source yields: entries to score, entries it skips, and problems.

Everything behind a source (reader, engine, cache, record) knows an entry by its location, its
stamp, and its bytes. Only this module and the reader know that most entries are files.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from nsfwscan.errors import Reason
from nsfwscan.sources.filetype import Kind

Stamp = tuple[int, ...]
"""Numbers that change when the content changes, short of deliberate disguise."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that may be an image: a regular file, or bytes from elsewhere.

    Attributes
    ----------
    location
        What the record calls ``path``.
    explicit
        Whether the user gave this location; otherwise a walk found it.
    open
        Opens the bytes. None for a file, which the worker process opens by its location.
    """

    location: str
    explicit: bool = False
    open: Callable[[], AbstractContextManager[BinaryIO]] | None = None

    @property
    def address(self) -> str:
        """The location in a form that holds in any working directory; a cache keys on it."""
        return os.path.abspath(self.location) if self.open is None else self.location

    def stamp(self, max_filesize: int) -> Stamp | None:
        """Give the stamp of an unopened file.

        Returns
        -------
        tuple of int or None
            As `stamp_of`. None if there is no such file, if it has more than `max_filesize`
            bytes, or if the entry is not a file: then only its bytes tell.
        """
        if self.open is not None:
            return None
        try:
            status = os.stat(self.location, follow_symlinks=self.explicit)
        except (OSError, ValueError):
            return None  # reading it reports the problem
        return stamp_of(status) if status.st_size <= max_filesize else None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is not scored, and what it is."""

    location: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that cannot be read, and why."""

    location: str
    reason: Reason
    detail: str


Found = Entry | Skipped | Problem


def stamp_of(status: os.stat_result) -> Stamp:
    """Give the stamp of a file.

    Returns
    -------
    tuple of int
        Device, inode, size in bytes, and the times of the last modification and status change in
        nanoseconds.
    """
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


def problem_of(path: str, error: OSError | ValueError, *, explicit: bool) -> Problem:
    """Turn an error of the operating system into a `Problem`.

    Parameters
    ----------
    path
        The file or folder.
    error
        The error. No system call takes a path that raises ValueError.
    explicit
        Whether the user gave the path. Then a missing file is the user's mistake, and not a
        change during the scan.
    """
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        if os.path.islink(path):
            return Problem(path, Reason.DANGLING_LINK, "the link's target does not exist")
        if explicit:
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
