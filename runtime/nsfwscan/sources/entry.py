"""The results of a source: entries to score, skipped entries, and problems.

The engine, the cache and the record identify an entry by its location, its stamp and its bytes.
Only this module and the reader depend on the fact that most entries are files.
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
from nsfwscan.sources.remote.redaction import is_meant_as_url, recorded

Stamp = tuple[int, ...]
"""Numbers that change with the content, unless somebody deliberately restores them.

The last two are times in nanoseconds, of a change that the others may hide; 0 if they hide none.
"""


class SourceError(Exception):
    """The bytes of an entry cannot be had.

    Parameters
    ----------
    reason, detail
        As in `Problem`.
    passing
        Whether it may succeed a moment later.
    """

    def __init__(self, reason: Reason, detail: str, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that may be an image: a regular file, or bytes from elsewhere.

    Attributes
    ----------
    location
        The record's ``path``.
    explicit
        Whether the user gave this location, or a walk found it.
    follow
        Whether a symbolic link at this location is followed. A given location always is.
    open
        Opens the bytes. None for a file. It runs on a thread of the scan, may be called twice, and
        no timeout covers it.
    """

    location: str
    explicit: bool = False
    follow: bool = False
    open: Callable[[], AbstractContextManager[BinaryIO]] | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which the worker process opens by its location."""
        return self.open is None

    @property
    def follows(self) -> bool:
        """Whether opening it follows a symbolic link."""
        return self.explicit or self.follow

    @property
    def address(self) -> str:
        """The location, independent of the working directory. The cache uses it as a key."""
        return os.path.abspath(self.location) if self.is_file else self.location

    def stamp(self, max_filesize: int) -> Stamp | None:
        """Return the stamp of an unopened file.

        Returns
        -------
        tuple of int or None
            As `stamp_of`. None if the file does not exist or has more than `max_filesize` bytes,
            or if the entry is not a file.
        """
        if not self.is_file:
            return None
        try:
            status = os.stat(self.location, follow_symlinks=self.follows)
        except (OSError, ValueError):
            return None  # reading it reports the problem
        return stamp_of(status) if status.st_size <= max_filesize else None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is not scored, and its kind."""

    location: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that cannot be read, and the reason.

    Attributes
    ----------
    location, reason, detail
        As ``path``, ``reason`` and ``detail`` of the record.
    is_listing
        Whether it stands for entries that a listing did not give. It is in every shard then.
    """

    location: str
    reason: Reason
    detail: str
    is_listing: bool = False


Found = Entry | Skipped | Problem

Source = str | os.PathLike[str] | Entry | Problem
"""What a scan takes: a path or a URL, an entry, or the problem of one."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file.

    Returns
    -------
    tuple of int
        Device, inode, size in bytes, and the times of the last modification and of the last status
        change in nanoseconds.
    """
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


def problem_of(path: str, error: OSError | ValueError, *, explicit: bool) -> Problem:
    """Convert an error of the operating system to a `Problem`.

    Parameters
    ----------
    path
        The file or folder.
    error
        The error. ValueError means that the path is invalid.
    explicit
        Whether the user gave the path. If so, a missing file was never there; otherwise it was
        deleted during the scan.
    """
    if explicit and is_meant_as_url(path) and not os.path.lexists(path):
        said = "no such file; only a scan reads URLs, and they have two slashes"
        return Problem(recorded(path), Reason.NOT_FOUND, said)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        if os.path.islink(path):
            return Problem(path, Reason.DANGLING_LINK, "the link's target does not exist")
        if explicit:
            return Problem(path, Reason.NOT_FOUND, "no such file or folder")
        return Problem(path, Reason.VANISHED, "it was deleted before it could be opened")
    if isinstance(error, PermissionError):
        return Problem(path, Reason.UNREADABLE, "permission denied")
    if isinstance(error, OSError):
        if error.errno == errno.ELOOP:
            return Problem(path, Reason.DANGLING_LINK, "the link leads back to itself")
        return Problem(path, Reason.UNREADABLE, error.strerror or str(error))
    return Problem(path, Reason.NOT_FOUND, f"the path is invalid: {error}")


def special_file(path: str, mode: int) -> Problem:
    """Return the problem of a pipe, a socket or a device, by its `stat` mode."""
    names = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    what = names.get(stat.S_IFMT(mode), "not a regular file")
    return Problem(path, Reason.SPECIAL_FILE, f"{what}, which is never opened")
