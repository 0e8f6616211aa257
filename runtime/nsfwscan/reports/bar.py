"""A progress bar on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


class _Facts(ProgressColumn):
    max_refresh = 0.5

    def __init__(self, facts: Callable[[], str]) -> None:
        self._facts = facts
        super().__init__()

    def render(self, _task: Task) -> Text:
        return Text(self._facts())


@contextmanager
def bar(
    terminal: Console, label: str, facts: Callable[[], str]
) -> Iterator[Callable[[int, int | None], None]]:
    """Show a label, a bar and facts until the end of the ``with`` block.

    Yields
    ------
    callable
        A function to call with the numbers of completed and of all items; None is unknown.
    """
    shown = Progress(
        TextColumn(label),
        BarColumn(),
        _Facts(facts),
        console=terminal,
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # never a file's
    )
    task = shown.add_task(label, total=None)
    with shown:
        yield lambda done, total: shown.update(task, completed=done, total=total)
