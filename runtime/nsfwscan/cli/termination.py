"""Exit codes, and how signals end a command: the first one raises, the second one ends."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

USAGE_ERROR = 2
INTERRUPTED = 130
"""As a shell reports a program that SIGINT ended."""
BROKEN_PIPE = 141
"""As a shell reports a program that SIGPIPE ended."""

_SAME_REQUEST = 2.0
"""Seconds in which further signals belong to the first: a terminal or a container's supervisor
sends several at once."""

_first: tuple[int, float] | None = None


class Terminated(KeyboardInterrupt):
    """A request to end: everything that handles Ctrl-C handles it in the same way.

    Attributes
    ----------
    number : int
        The signal: SIGINT, SIGTERM, or SIGHUP when a terminal was closed.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def install_handlers() -> None:
    """Raise `Terminated` at the first signal that asks to end; end the process at the second.

    A signal that the parent process ignores (``nohup``) stays ignored.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        default = (signal.SIG_DFL, signal.default_int_handler)
        if number is not None and signal.getsignal(number) in default:
            signal.signal(number, _on_signal)


def _on_signal(number: int, _frame: object) -> None:
    global _first  # noqa: PLW0603 - signal handlers are global too
    now = time.monotonic()
    if _first is None:
        _first = number, now
        raise Terminated(number)
    if now - _first[1] > _SAME_REQUEST:
        end_at_once(128 + number)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise an interruption as itself where it comes wrapped in SystemError.

    CPython wraps it if the signal arrives inside a function in C that then returns a result. NumPy
    has been seen to do so.
    """
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise


def requested() -> int | None:
    """Give the signal that asked this program to end, or None.

    For loops that must end: when two signals arrive at the same moment, the interpreter has been
    seen to lose the exception that the first one raised.
    """
    return None if _first is None else _first[0]


def end_at_once(code: int | str | None) -> NoReturn:
    """End the process without the interpreter's shutdown, which takes a tenth of a second.

    Only for a program with nothing left to do: its files are closed, and its child processes end
    with it.

    Parameters
    ----------
    code
        As for `sys.exit`.
    """
    if code is None:
        code = 0
    if not isinstance(code, int):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(code)
