"""Write a file whole, or leave it as it was."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from nsfwscan.errors import OutputError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end of the ``with`` block gets the final name.

    If the block ends by an exception, what was there before stays. A link stays a link.

    Raises
    ------
    OutputError
        If the target cannot be written. The message names it.
    """
    try:
        final = target.resolve()
        # In a folder of its own: a name that can be guessed could be somebody's link already.
        with TemporaryDirectory(prefix=".", suffix=".tmp", dir=final.parent) as folder:
            temporary = Path(folder, final.name)
            yield temporary
            temporary.replace(final)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


@contextmanager
def atomic_write(
    target: Path, *, stream: bool = False, encoding: str = "utf-8", errors: str = "strict"
) -> Iterator[TextIO]:
    """Open a text file for writing beside its final name, and rename it at the end.

    If the ``with`` block ends by an exception, what was there before stays. A link stays a link;
    what is no regular file (a pipe, a terminal, ``/dev/null``) is written to as it is.

    Parameters
    ----------
    target
        The file.
    stream
        Write into the file itself, for readers that follow it as it grows.
    encoding, errors
        As for `open`. Line ends are written as they are given.

    Raises
    ------
    OutputError
        If it cannot be written. The message names it.
    """
    try:
        regular = _is_regular(target)
        if stream or not regular:
            with target.open("w", encoding=encoding, errors=errors, newline="") as file:
                yield file
            return
        with (
            atomic_path(target) as temporary,
            temporary.open("w", encoding=encoding, errors=errors, newline="") as file,
        ):
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _is_regular(target: Path) -> bool:
    """Tell whether a path is a regular file, or may become one."""
    try:
        return stat.S_ISREG(target.stat().st_mode)
    except FileNotFoundError:
        return True
