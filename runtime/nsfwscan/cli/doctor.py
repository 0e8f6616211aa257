"""The command ``nsfwscan doctor``. ``nsfwtrain doctor`` prints its findings with `show` too."""

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.errors import OutputError
from nsfwscan.util.escape import printable, to_json

if TYPE_CHECKING:
    from nsfwscan.doctor.findings import Finding


class Format(StrEnum):
    """Output formats of findings."""

    TEXT = "text"
    JSON = "json"


ReportFormat = Annotated[
    Format,
    typer.Option("-f", "--format", metavar="FORMAT", help="Print text or json."),
]

_MARKS = {"ok": ("ok    ", None), "note": ("note  ", "yellow"), "failed": ("FAILED", "red")}


def doctor(
    device: o.Device = "auto", cache: o.CacheFile = None, format_: ReportFormat = Format.TEXT
) -> None:
    """Check what is installed and whether it works.

    Exit codes: 0 everything works, 1 something does not.
    """
    with errors_as_exit_codes(), silent_libraries():
        from nsfwscan.doctor.checks import examine
        from nsfwscan.inference.session import check_device

        check_device(device)
        good = show(examine(device, cache), format_)
    raise typer.Exit(0 if good else 1)


def show(findings: "Iterable[Finding]", format_: Format) -> bool:
    """Print findings as they arrive, and return whether none has failed.

    Raises
    ------
    OutputError
        If standard output is closed.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed; the findings cannot be printed")
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    failed, seen = False, list[dict[str, Any]]()
    for finding in findings:
        failed |= finding.state == "failed"
        if format_ is Format.JSON:
            seen.append(asdict(finding))
            continue
        word, colour = _MARKS[finding.state]
        shown = typer.style(word, fg=colour) if coloured else word
        typer.echo(f"{shown}  {printable(f'{finding.about}: {finding.said}')}")
        if finding.fix is not None:
            typer.echo(f"        {printable(finding.fix)}")
    if format_ is Format.JSON:
        typer.echo(to_json({"ok": not failed, "findings": seen}, indent=2))
    return not failed
