"""The destination and the format of a report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, TextIO

from nsfwscan.errors import OutputError
from nsfwscan.reports.about import About
from nsfwscan.reports.console import Color, has_colors
from nsfwscan.reports.csvtable import CsvReport
from nsfwscan.reports.jsonarray import JsonReport
from nsfwscan.reports.jsonlines import JsonLinesReport
from nsfwscan.reports.paths import PathsReport
from nsfwscan.reports.report import Report
from nsfwscan.reports.sarif import SarifReport
from nsfwscan.reports.text import TextReport
from nsfwscan.util.escape import printable
from nsfwscan.util.files import atomic_write, write_errors

Format = Literal["text", "jsonl", "json", "csv", "html", "sarif", "parquet"]

_DECIDING = (
    "frames", "views", "exact", "max_pixels", "max_filesize", "fast", "review_band", "files_from",
    "glob", "no_ignore", "hidden", "follow", "max_depth",
)  # fmt: skip
"""The settings of a scan on which its records and decisions depend."""


def open_report(
    out: TextIO,
    format_: Format,
    about: About,
    *,
    paths: Literal["", "\n", "\0"] = "",
    color: Color = "auto",
    quiet: bool = False,
    show_allowed: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    """Return a report in a format.

    Parameters
    ----------
    out
        The open output, as `open_output` returns it.
    format_
        The format. ``html`` needs the extra ``review``, and ``parquet`` the extra ``parquet``.
    about
        What the report says about its scan, if its format holds more than records.
    paths
        If not empty: write only the paths of flagged images, each followed by this terminator.
    color
        Whether to colour the text report; ``auto`` colours on a terminal.
    quiet
        Whether to omit the summary line of the text report.
    show_allowed
        Whether the formats for readers, text, html and sarif, list allowed images.
    say
        Called with each error that a report of paths does not contain.
    """
    clean = printable if out.isatty() else str
    if paths:
        return PathsReport(out, str if paths == "\0" else clean, paths, say)
    if format_ == "jsonl":
        return JsonLinesReport(out)
    if format_ == "json":
        return JsonReport(out)
    if format_ == "csv":
        return CsvReport(out, clean)
    if format_ == "sarif":
        return SarifReport(out, about, show_allowed=show_allowed)
    if format_ == "html":
        from nsfwscan.reports.html import HtmlReport  # noqa: PLC0415 - jinja2 is optional

        return HtmlReport(out, about, show_allowed=show_allowed)
    if format_ == "parquet":
        from nsfwscan.reports.footer import Origin  # noqa: PLC0415 - for this format only
        from nsfwscan.reports.parquet import ParquetReport  # noqa: PLC0415 - pyarrow is optional

        origin = Origin(
            version=about.version,
            model=about.sha256,
            threshold=about.threshold,
            sources=about.sources,
            options={name: about.settings[name] for name in _DECIDING if name in about.settings},
        )
        return ParquetReport(out, origin, about.shard)
    colored = has_colors(out, color)
    return TextReport(out, colored=colored, quiet=quiet, show_allowed=show_allowed)


@contextmanager
def open_output(target: Path | None, format_: Format, *, raw: bool) -> Iterator[TextIO]:
    """Open the output of a report: standard output, or a file.

    A file gets its final name at the end (`atomic_write`), except that JSON lines are written
    directly to the target.

    Parameters
    ----------
    target
        The file. None: standard output.
    format_
        The report's format.
    raw
        Whether to write names byte for byte, and not as valid UTF-8.

    Raises
    ------
    OutputError
        If the output cannot be written.
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
    with write_errors("standard output"):
        try:
            yield out
            out.flush()
        finally:
            with suppress(OSError):  # the flush above raises the errors that matter
                out.detach()
