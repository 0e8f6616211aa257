"""What a walk comes upon: files to look into, entries to skip, and problems."""

import errno
import os
import stat
from dataclasses import dataclass

from nsfwscan.errors import Reason
from nsfwscan.sources.filetype import Kind


@dataclass(frozen=True, slots=True)
class Candidate:
    """A regular file, to be looked into. `named`: by the user, not found in a folder."""

    path: str
    named: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is passed by, and what it is."""

    path: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that cannot be looked into, and why."""

    path: str
    reason: Reason
    detail: str


Found = Candidate | Skipped | Problem


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
