"""Hold a folder, so that two commands do not mix their files in it."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nsfwscan.util.files import atomic_write, check_local
from nsfwscan.util.lock import InUseError, locked
from nsfwtrain.errors import FolderError

_LOCK, _HOLDER = ".lock", ".lock-holder"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder until the end of the block; create it if it does not exist.

    Of the folders that were created, those that are empty at the end are removed.

    Raises
    ------
    FolderError
        If another process holds the folder, which the message names, or it cannot be used.
    OutputError
        If the folder cannot be written.
    """
    check_local(folder)
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"cannot use the folder {folder}: {error.strerror}") from error
    with ExitStack() as stack:
        stack.callback(_remove_empty, created)
        try:
            stack.enter_context(locked(folder / _LOCK))
        except InUseError as error:
            raise FolderError(
                f"{folder} is in use by {_holder(folder)}; wait for its end, or choose another "
                "folder"
            ) from error
        except OSError as error:
            raise FolderError(
                f"cannot lock {folder} ({error.strerror}); check the disk and your permissions"
            ) from error
        holder = folder / _HOLDER
        with atomic_write(holder) as stream:
            stream.write(f"process {os.getpid()} on {socket.gethostname()}")
        stack.callback(holder.unlink, missing_ok=True)
        yield


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it has files
            folder.rmdir()


def _holder(folder: Path) -> str:
    """Return who holds a folder. Its name is written just after the lock is taken."""
    try:
        return (folder / _HOLDER).read_text(encoding="utf-8")
    except OSError:
        return "another process"
