"""The trash of the desktop: put files into it, and find them there again.

Where a file comes to lie is told by the freedesktop.org trash specification. macOS and Windows keep
that to themselves, so files are restored there by hand.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

from nsfwscan.review.steps import NotDoneError, State
from nsfwscan.review.transfer import holds

RESTORABLE = sys.platform not in {"darwin", "win32"}


def refresh() -> None:
    """Read the trash anew when a file is looked for."""
    _index.cache_clear()


def throw(path: str) -> None:
    """Put a file into the trash: that of the user's home, or of the file's own file system.

    Raises
    ------
    NotDoneError
        If its file system has no trash, and the user cannot create one.
    OSError
        If that fails.
    """
    from send2trash import TrashPermissionError, send2trash

    try:
        send2trash(path)
    except TrashPermissionError as error:
        raise NotDoneError(
            "its file system has no trash, and you cannot create one; use --move-to"
        ) from error


def find(path: str, state: State) -> str | None:
    """Return where a file lies in the trash; None: it is not there."""
    for held, _ in _places(path):
        if holds(held, state.sha256, state.link):
            return held
    return None


def forget(path: str) -> None:
    """Delete what the trash says of a file that is no longer in it."""
    for held, info in _places(path):
        if not os.path.lexists(held):
            with suppress(FileNotFoundError):
                os.unlink(info)


def _places(path: str) -> list[tuple[str, str]]:
    return _index(_mount_point(os.path.dirname(path))).get(path, [])


@cache
def _mount_point(folder: str) -> str:
    return folder if os.path.ismount(folder) else _mount_point(os.path.dirname(folder))


@cache
def _index(top: str) -> dict[str, list[tuple[str, str]]]:
    """Read once which files the trash of a file system holds, by their old path."""
    found: dict[str, list[tuple[str, str]]] = {}
    for trash, base in _trashes(top):
        for info in sorted((trash / "info").glob("*.trashinfo")):
            for line in info.read_bytes().splitlines():
                if line.startswith(b"Path="):
                    old = os.fsdecode(unquote_to_bytes(line.removeprefix(b"Path=")))
                    place = trash / "files" / info.name.removesuffix(".trashinfo")
                    path = os.path.normpath(os.path.join(base, old))
                    found.setdefault(path, []).append((str(place), str(info)))
    return found


def _trashes(top: str) -> Iterator[tuple[Path, str]]:
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    yield Path(data, "Trash"), data
    user = os.getuid()
    yield Path(top, ".Trash", str(user)), top
    yield Path(top, f".Trash-{user}"), top
