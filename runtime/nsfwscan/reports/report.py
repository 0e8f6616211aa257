"""Write records as text, JSON lines, JSON, CSV, or bare paths.

File names come from strangers: nothing that a terminal obeys leaves here for a terminal, a CSV
cell is never a formula, and one JSON line is one line whatever a name holds.
"""

import csv
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from nsfwscan.errors import OutputError
from nsfwscan.record import FIELDS, Record
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import printable, to_json
from nsfwscan.util.files import atomic_write

if TYPE_CHECKING:
    from rich.console import Console

Format = Literal["text", "jsonl", "json", "csv"]
Color = Literal["auto", "always", "never"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""See OWASP on CSV injection; the last four are the wide forms that East Asian keyboards write."""


def console(stream: TextIO, color: Color) -> "Console":
    """Make a console that wraps nothing and interprets nothing in what it prints."""
    from rich.console import Console  # noqa: PLC0415 - slow to import

    plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
    return Console(
        file=stream,
        width=80 if os.environ.get("COLUMNS") == "0" else None,  # rich would print nothing
        color_system=None if plain else "standard" if color == "always" else "auto",
        force_terminal=True if color == "always" else None,
        no_color=False if color == "always" else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


class Report(Protocol):
    """What takes the records of a scan."""

    def add(self, record: Record) -> None:
        """Take one record."""

    def close(self, summary: Summary) -> None:
        """Take the end of the scan."""


_FLAGGED, _ERROR, _BOLD = "1;31", "1;33", "1"  # ANSI (ECMA-48) graphic renditions


def _style(text: str, rendition: str, *, colored: bool) -> str:
    return f"\x1b[{rendition}m{text}\x1b[0m" if colored else text


class TextReport:
    """For people: what is flagged, highest score first, then what failed, then one line."""

    def __init__(self, out: TextIO, *, colored: bool, quiet: bool) -> None:
        self._out = out
        self._colored = colored
        self._quiet = quiet
        self._flagged: list[tuple[float, str]] = []
        self._errors: list[Record] = []

    def add(self, record: Record) -> None:
        """Keep a record that will be shown."""
        if record.status == "flagged" and record.score is not None:
            self._flagged.append((-record.score, record.path))
        elif record.status == "error":
            self._errors.append(record)

    def close(self, summary: Summary) -> None:
        """Print everything."""
        flagged = _style("flagged", _FLAGGED, colored=self._colored)
        for negative, path in sorted(self._flagged):
            self._out.write(f"{flagged}  {-negative:.3f}  {printable(path)}\n")
        for record in self._errors:
            self._out.write(f"{error_line(record, colored=self._colored)}\n")
        if not self._quiet:
            self._out.write(f"{_style(summary.line(), _BOLD, colored=self._colored)}\n")
        self._out.flush()


def error_line(record: Record, *, colored: bool) -> str:
    """Write what failed, for people."""
    error = _style("error", _ERROR, colored=colored)
    detail = printable(record.detail or "")
    return f"{error}    {record.reason}  {printable(record.path)}: {detail}"


class JsonLinesReport:
    """One JSON object a line, as soon as it is known."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, record: Record) -> None:
        """Write one line."""
        self._out.write(to_json(record.to_dict()) + "\n")
        self._out.flush()

    def close(self, summary: Summary) -> None:  # noqa: ARG002 - every line stands by itself
        """Flush."""
        self._out.flush()


class JsonReport:
    """One JSON array of all records, one a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._before = "["

    def add(self, record: Record) -> None:
        """Write one element."""
        self._out.write(f"{self._before}\n{to_json(record.to_dict())}")
        self._before = ","

    def close(self, summary: Summary) -> None:  # noqa: ARG002 - the array holds records only
        """End the array."""
        self._out.write("[]\n" if self._before == "[" else "\n]\n")
        self._out.flush()


class CsvReport:
    """Comma-separated values (RFC 4180 but for the line ends), with a header."""

    def __init__(self, out: TextIO, clean: Callable[[str], str]) -> None:
        self._out = out
        self._clean = clean
        # All text is quoted: left to itself the writer overlooks a carriage return in a name.
        self._writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        self._writer.writerow(FIELDS)

    def add(self, record: Record) -> None:
        """Write one row."""
        self._writer.writerow([self._cell(value) for value in record.to_dict().values()])
        self._out.flush()

    def close(self, summary: Summary) -> None:  # noqa: ARG002 - every row stands by itself
        """Flush."""
        self._out.flush()

    def _cell(self, value: object) -> object:
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str):
            return value
        text = self._clean(value)
        # A spreadsheet would run such a cell as a formula; the quote makes it text.
        return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


class PathsReport:
    """The paths of flagged images, byte for byte; what failed is told to `say`."""

    def __init__(
        self, out: TextIO, clean: Callable[[str], str], end: str, say: Callable[[str], None]
    ) -> None:
        self._out = out
        self._clean = clean
        self._end = end
        self._say = say

    def add(self, record: Record) -> None:
        """Write the path of a flagged image."""
        if record.status == "flagged":
            self._out.write(self._clean(record.path) + self._end)
            self._out.flush()
        elif record.status == "error":
            self._say(error_line(record, colored=False))

    def close(self, summary: Summary) -> None:  # noqa: ARG002 - paths only
        """Flush."""
        self._out.flush()


def open_report(
    out: TextIO,
    format_: Format,
    *,
    paths: Literal["", "\n", "\0"] = "",
    color: Color = "auto",
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    r"""Make the report for a format.

    Parameters
    ----------
    out
        Where it goes, as `open_output` opens it.
    format_
        Its format.
    paths
        Print bare paths of flagged images instead, each ended by this; empty: do not.
    color
        Whether text is coloured.
    quiet
        Leave the summary line of the text out.
    say
        Is told what could not be scored where the report itself has no place for it.
    """
    clean = printable if out.isatty() else str
    if paths:
        raw = str if paths == "\0" else clean
        return PathsReport(out, raw, paths, say)
    if format_ == "jsonl":
        return JsonLinesReport(out)
    if format_ == "json":
        return JsonReport(out)
    if format_ == "csv":
        return CsvReport(out, clean)
    shown = color == "always" or out.isatty() or bool(os.environ.get("FORCE_COLOR"))
    colored = shown and console(out, color).color_system is not None
    return TextReport(out, colored=colored, quiet=quiet)


@contextmanager
def open_output(target: Path | None, format_: Format, *, raw: bool) -> Iterator[TextIO]:
    """Open where a report goes: standard output, or a file.

    A file is written beside its final name and renamed at the end, so that a report that was there
    before stays whole until then; JSON lines stream into the file itself.

    Parameters
    ----------
    target
        The file; None is standard output.
    format_
        The report's format.
    raw
        Whether names are written byte for byte rather than as valid UTF-8.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    encoding = sys.getfilesystemencoding() if raw else "utf-8"
    errors = sys.getfilesystemencodeerrors() if raw else "backslashreplace"
    if target is not None:
        stream = format_ == "jsonl"
        with atomic_write(target, stream=stream, encoding=encoding, errors=errors) as file:
            yield file
        return
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file with --output")
    out = TextIOWrapper(
        sys.stdout.buffer, encoding=encoding, errors=errors, newline="", write_through=True
    )
    try:
        yield out
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # it was said above, if it matters
            out.detach()
