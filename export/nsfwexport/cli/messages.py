"""What the commands print, and how their errors end the process."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from nsfwexport.cli.options import Format
from nsfwexport.errors import ParityError
from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwexport.comparison import Report

PROGRAM = "nsfwexport"


@contextmanager
def errors() -> Iterator[None]:
    """Print an error as one sentence; exit with 1 if two models differ."""
    exit_codes = errors_as_exit_codes(PROGRAM, extra="export")
    with exit_codes, silent_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of its own changes
        try:
            yield
        except ParityError as error:
            head, *worst = str(error).splitlines()
            for line in (f"{PROGRAM}: {head}", *worst):
                typer.echo(printable(line), err=True)
            raise typer.Exit(1) from error


def warn(line: str) -> None:
    """Print a line on standard error, after the name of the program."""
    typer.echo(f"{PROGRAM}: {printable(line)}", err=True)


def warn_left_out(left_out: Mapping[str, str]) -> None:
    """Name the images that could not be used, and why."""
    for path, why in left_out.items():
        warn(f"left out: {path}: {why}")


def show(report: "Report", format_: Format) -> None:
    """Print the report of a comparison."""
    from nsfwexport.tables import json_report, markdown_report, text_report

    shown = {Format.TEXT: text_report, Format.JSON: json_report, Format.MARKDOWN: markdown_report}
    typer.echo(shown[format_](report))
    warn_left_out(report.left_out)
    if not report.spread:
        low, high = report.score_range
        warn(
            f"all scores are between {low:.3f} and {high:.3f}, so the comparison proves little; "
            "compare on images of both labels with --images"
        )
