"""A progress bar on the terminal: count, rate and remaining time."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s", style="progress.data.speed")


@contextmanager
def progress(
    out: Console, label: str, total: int | Callable[[], Iterator[object]] | None
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar until the end of the ``with`` block.

    Parameters
    ----------
    out
        The terminal.
    label
        The name of the work.
    total
        The number of items; or a function that returns an iterator over the items, which a second
        thread counts; or None if the number is not known in advance.

    Yields
    ------
    callable
        A function to call with the number of completed items.
    """
    bar = Progress(
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.fields[of]}"),
        _Rate(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # never a file's
    )
    task = bar.add_task(label, total=None, of="?")
    ended = threading.Event()

    def count_items(items: Iterator[object]) -> None:
        count = 0
        with suppress(Exception):  # the work itself raises the same exception
            for _ in items:
                if ended.is_set():
                    return
                count += 1
        bar.update(task, total=count, of=f"{count:,}")

    if isinstance(total, int):
        bar.update(task, total=total, of=f"{total:,}")
    elif total is not None:
        threading.Thread(target=count_items, args=[total()], name="count", daemon=True).start()
    try:
        with bar:
            yield lambda done: bar.update(task, completed=done)
    finally:
        ended.set()
