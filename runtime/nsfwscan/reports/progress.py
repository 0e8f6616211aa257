"""Show how far long work is: a bar on a terminal, and elsewhere a line every 30 seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

INTERVAL = 30.0
"""Seconds between two lines."""

Total = int | Callable[[], Iterator[object]] | None
"""The number of items; or a function that returns an iterator over the items, which a second thread
counts; or None if the number is not known in advance, or there is nothing to count."""

Advance = Callable[[int], None]
"""Gets the number of items done so far."""

Progress = Callable[[str, Total], AbstractContextManager[Advance]]
"""Shows a label and a total while its block runs. The block reports the number done so far."""


def no_progress(_label: str, _total: Total) -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(lambda _done: None)


@contextmanager
def progress(out: "Console | Callable[[str], None]", label: str, total: Total) -> Iterator[Advance]:
    """Show how far the work is until the end of the ``with`` block.

    Parameters
    ----------
    out
        The terminal, which shows a bar; or a function that writes a line.
    label
        The name of the work.
    total
        See `Total`.

    Yields
    ------
    callable
        A function to call with the number of completed items.
    """
    work = _Work(label, total if isinstance(total, int) else None)
    ended = threading.Event()

    def count() -> None:
        if callable(total):
            arguments = work, total, ended
            threading.Thread(target=_count, args=arguments, name="count", daemon=True).start()

    shown = _lines(out, work, count, ended) if callable(out) else _bar(out, work, count)
    with shown as show:

        def advance(done: int) -> None:
            work.advance(done)
            show(done)

        try:
            yield advance
        finally:
            ended.set()


@dataclass
class _Work:
    """How far some work is. No numbers: nothing is counted, or none is known yet."""

    label: str
    total: int | None
    done: int | None = None

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._first = (self._started, 0)  # continued work does not begin at 0

    def advance(self, done: int) -> None:
        if self.done is None:
            self._first = (time.monotonic(), done)
        self.done = done

    def __str__(self) -> str:
        """Return count, speed and the remaining time, or the time so far."""
        now = time.monotonic()
        elapsed = _clock(now - self._started)
        if self.done is None:
            return elapsed
        count = f"{self.done:,} of {'?' if self.total is None else f'{self.total:,}'}"
        since, before = self._first
        if self.done <= before or now <= since:
            return f"{count}, {elapsed}"
        speed = (self.done - before) / (now - since)
        if self.total is not None:
            elapsed = f"{_clock((self.total - self.done) / speed)} left"
        return f"{count}, {speed:.1f}/s, {elapsed}"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(0, round(seconds))))


def _count(work: _Work, items: Callable[[], Iterator[object]], ended: threading.Event) -> None:
    count = 0
    with suppress(Exception):  # the work itself raises the same exception
        for _ in items():
            if ended.is_set():
                return
            count += 1
    work.total = count


@contextmanager
def _lines(
    say: Callable[[str], None], work: _Work, count: Callable[[], None], ended: threading.Event
) -> Iterator[Advance]:
    """Write a line at every interval, from a second thread: the work itself may not report."""

    def write() -> None:
        if ended.wait(INTERVAL):
            return
        count()  # not before: short work need not be counted
        say(f"{work.label}: {work}")
        while not ended.wait(INTERVAL):
            say(f"{work.label}: {work}")

    writer = threading.Thread(target=write, name="progress", daemon=True)
    writer.start()
    try:
        yield lambda _done: None
    finally:
        writer.join()  # no line comes after the end of the work


@contextmanager
def _bar(terminal: "Console", work: _Work, count: Callable[[], None]) -> Iterator[Advance]:
    from nsfwscan.reports.bar import bar  # noqa: PLC0415 - slow to import

    count()
    with bar(terminal, work.label, work.__str__) as update:
        yield lambda done: update(done, work.total)
