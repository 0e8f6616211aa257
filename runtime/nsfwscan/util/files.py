"""Write files atomically: completely, or not at all."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from nsfwscan.errors import OutputError


@contextmanager
def write_errors(target: object) -> Iterator[None]:
    """Raise `OSError` as `OutputError`, except if the reader closed the pipe."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path, and rename it to the target at the end of the ``with`` block.

    If the block raises, the target is unchanged. If the target is a symbolic link, the file that
    it points to is replaced.

    Raises
    ------
    OutputError
        If the target cannot be written.
    """
    with write_errors(target):
        final = target.resolve()
        # A new folder, because another user could create a link at a predictable name.
        with TemporaryDirectory(prefix=".", suffix=".tmp", dir=final.parent) as folder:
            temporary = Path(folder, final.name)
            yield temporary
            temporary.replace(final)


@contextmanager
def atomic_write(
    target: Path, *, stream: bool = False, encoding: str = "utf-8", errors: str = "strict"
) -> Iterator[TextIO]:
    """Open a text file for writing, and rename it to its target at the end, as `atomic_path` does.

    A target that is not a regular file (a pipe, a terminal, ``/dev/null``) is written directly.

    Parameters
    ----------
    target
        The file.
    stream
        Write directly to the file, for readers that follow it as it grows.
    encoding, errors
        As for `open`. Line endings are not translated.

    Raises
    ------
    OutputError
        If the target cannot be written.
    """
    with write_errors(target):
        if stream or not _is_regular(target):
            with target.open("w", encoding=encoding, errors=errors, newline="") as file:
                yield file
            return
        with (
            atomic_path(target) as temporary,
            temporary.open("w", encoding=encoding, errors=errors, newline="") as file,
        ):
            yield file


def _is_regular(target: Path) -> bool:
    """Return whether a path is a regular file or does not exist."""
    try:
        return stat.S_ISREG(target.stat().st_mode)
    except FileNotFoundError:
        return True
