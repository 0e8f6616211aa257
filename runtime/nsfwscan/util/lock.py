"""Hold a lock file, so that two processes do not write at one place.

The operating system frees the lock when the process ends, however it ends.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class InUseError(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file until the block ends. It is created, and deleted at the end.

    Parameters
    ----------
    path
        The lock file.
    wait
        Whether to wait for the process that holds it.

    Raises
    ------
    InUseError
        If another process holds it, or this one does already.
    OSError
        If it cannot be created, or the file system has no locks.
    """
    descriptor = _acquired(path, wait=wait)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no open file; then it stays
            path.unlink()
        os.close(descriptor)


def _acquired(path: Path, *, wait: bool) -> int:
    """Open and lock a file. Repeat it if another process has deleted the file meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, wait=wait)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError) as error:
        raise InUseError from error
