"""The standard streams of a process: closed ones, broken ones, and libraries that write to them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def replace_closed_streams() -> None:
    """Open the null device for each closed standard stream, so that no file takes its descriptor.

    `sys.stderr` then writes to the null device. `sys.stdout` stays None: results need a place.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end


def discard_stdout() -> None:
    """Point standard output at the null device: a broken one would fail again at shutdown."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Discard what C libraries write to standard error.

    In the block, file descriptor 2 is the null device. `sys.stderr` still writes to the real one.
    """
    sys.stderr.flush()
    before, descriptor = sys.stderr, 2
    kept = os.dup(descriptor)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
    stream = open(kept, "w", buffering=1, encoding=before.encoding, errors=before.errors)  # noqa: SIM115 - closed below, even if a full disk makes that fail
    sys.stderr = stream
    try:
        yield
    finally:
        sys.stderr = before
        os.dup2(kept, descriptor)
        with suppress(OSError):
            stream.close()
