"""Hold a folder, so that two commands do not mix their files in it.

SQLite takes the lock: it is a part of Python, and does so on every system. The operating system
frees the lock when the process ends, however it ends.
"""

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nsfwscan.util.files import atomic_write
from nsfwtrain.errors import RunError

_LOCK, _HOLDER = ".lock", ".lock-holder"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder until the end of the block; create it if it does not exist.

    Raises
    ------
    RunError
        If another process holds the folder, which the message names, or it cannot be used.
    OutputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot use the folder {folder}: {error.strerror}") from error
    # The file stays empty: nothing is ever committed. Deleting it would free the lock for others.
    with closing(_connect(folder)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise RunError(f"cannot lock the folder {folder}: {error}") from error
            raise RunError(
                f"{folder} is in use by {_holder(folder)}; wait for its end, or choose another "
                "folder"
            ) from error
        with atomic_write(folder / _HOLDER) as stream:
            stream.write(f"process {os.getpid()} on {socket.gethostname()}")
        yield


def _connect(folder: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(folder / _LOCK, timeout=0, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise RunError(f"cannot lock the folder {folder}: {error}") from error


def _holder(folder: Path) -> str:
    """Return who holds a folder. Its name is written just after the lock is taken."""
    try:
        return (folder / _HOLDER).read_text(encoding="utf-8")
    except OSError:
        return "another process"
