"""A progress bar on the terminal: how much of the files is done, how fast, how long still."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s", style="progress.data.speed")


@contextmanager
def progress(
    out: Console, count: Callable[[], Iterator[object]] | None
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar until the end of the ``with`` block.

    Parameters
    ----------
    out
        The terminal.
    count
        Makes an iterator over what there is to do; it is run through on another thread to learn
        how much that is. None if it cannot be known beforehand.

    Yields
    ------
    callable
        To be called with how much is done.
    """
    bar = Progress(
        TextColumn("scanning"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.fields[of]}"),
        _Rate(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
    )
    task = bar.add_task("scan", total=None, of="?")
    ended = threading.Event()

    def learn_total() -> None:
        total = 0
        for _ in count() if count else ():
            if ended.is_set():
                return
            total += 1
        bar.update(task, total=total, of=f"{total:,}")

    if count is not None:
        threading.Thread(target=learn_total, name="count", daemon=True).start()
    try:
        with bar:
            yield lambda done: bar.update(task, completed=done)
    finally:
        ended.set()
