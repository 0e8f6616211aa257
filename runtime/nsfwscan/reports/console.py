"""The console for messages, and its colours."""

import os
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console

Color = Literal["auto", "always", "never"]


def console(stream: TextIO, color: Color) -> "Console":
    """Return a console that prints text unchanged: without wrapping, markup or highlighting."""
    from rich.console import Console  # noqa: PLC0415 - slow to import

    plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
    return Console(
        file=stream,
        width=80 if os.environ.get("COLUMNS") == "0" else None,  # rich prints nothing at width 0
        color_system=None if plain else "standard" if color == "always" else "auto",
        force_terminal=True if color == "always" else None,
        no_color=False if color == "always" else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def has_colors(stream: TextIO, color: Color) -> bool:
    """Return whether text written to a stream is coloured."""
    wanted = color == "always" or stream.isatty() or bool(os.environ.get("FORCE_COLOR"))
    return wanted and console(stream, color).color_system is not None
