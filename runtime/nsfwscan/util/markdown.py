"""Write Markdown."""

import re
from collections.abc import Sequence

from nsfwscan.util.escape import printable

_SPECIAL = re.compile(r"[\\`*_\[\]<>|#~]")


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\g<0>", printable(text))


def table(*rows: Sequence[str]) -> str:
    """Return a table with a final line break; the first row is its head. `|` is escaped."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)
