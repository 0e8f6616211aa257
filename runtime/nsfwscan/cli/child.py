"""Run a command in a process of its own, which ends when this process ends, however that ends.

The child's standard input is a pipe, into which nobody writes: its end is the end of the parent.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nsfwscan.cli.termination import Terminated


@contextmanager
def started(
    package: str, arguments: Sequence[str], **streams: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start ``python -m package``. An interruption of the block waits until the child has ended.

    Parameters
    ----------
    package
        A package with a command line.
    arguments
        Those of the command.
    streams
        Further arguments of `subprocess.Popen`.
    """
    command = [sys.executable, "-m", __name__, package, *arguments]
    inner, outer = os.pipe()
    try:
        try:
            child = subprocess.Popen(command, stdin=inner, text=True, **streams)  # noqa: S603
        finally:
            os.close(inner)
        try:
            yield child
        except KeyboardInterrupt as end:
            if isinstance(end, Terminated) and end.number != signal.SIGINT:
                child.terminate()  # only this process got the signal; both get Ctrl-C
            child.wait()  # until it has saved its state
            raise
    finally:
        os.close(outer)


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock would stop the interpreter's end
    os.kill(os.getpid(), signal.SIGTERM)  # which lets the command save its state


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
