"""Open the files that a user names."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from nsfwscan.errors import InputError, NsfwScanError


@contextmanager
def open_input(
    path: Path, called: str = "", error: type[NsfwScanError] = InputError
) -> Iterator[BufferedReader]:
    """Open a file or a pipe, until the block ends.

    A device such as ``/dev/zero`` is refused: it may never end. A terminal and the null device are
    read.

    Parameters
    ----------
    path
        The file.
    called
        What it is, such as ``the model``, for messages.
    error
        What is raised.

    Raises
    ------
    NsfwScanError
        If it cannot be opened or, within the block, read.
    """
    name = f"{called} {path}".lstrip()
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
            if is_device and not stream.isatty() and not path.samefile(os.devnull):
                raise error(f"cannot read {name}: it is a device; name a file")
            yield stream
    except OSError as failure:
        raise error(f"cannot read {name}: {failure.strerror or failure}") from failure
