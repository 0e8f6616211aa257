"""Tables on the terminal."""

import sys
from collections.abc import Iterable, Sequence

from nsfwscan.util.escape import printable


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output. Long cells are folded, in a pipe no line is."""
    from rich.table import Table
    from rich.text import Text

    from nsfwscan.reports.console import console

    table = Table(*head, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    shown = console(sys.stdout, "auto")
    if not sys.stdout.isatty():
        shown.width = max(shown.width, 100_000)  # a line of a pipe is not wrapped
    shown.print(table)
