"""What the commands print, and how their errors end the process."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import typer

from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.util.escape import printable

PROGRAM = "nsfwtrain"


def errors() -> AbstractContextManager[None]:
    """Turn errors into a sentence and an exit code, and name the extra of a missing package."""
    return errors_as_exit_codes(PROGRAM, extra="train")


def say(line: str) -> None:
    """Print a line."""
    typer.echo(printable(line))


def warn(line: str) -> None:
    """Print a line on standard error, after the name of the program."""
    typer.echo(f"{PROGRAM}: {printable(line)}", err=True)


def print_list(heading: str, lines: Iterable[str]) -> None:
    """Print a heading with the number of lines, and the lines."""
    lines = list(lines)
    typer.echo(f"{heading}: {len(lines):,}")
    for line in lines:
        typer.echo(f"  {printable(line)}")
