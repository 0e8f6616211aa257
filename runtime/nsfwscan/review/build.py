"""Write the page of a review, and its thumbnails."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from nsfwscan.errors import InputError, OutputError
from nsfwscan.inference.operating import OperatingPoint
from nsfwscan.limits import ScanOptions
from nsfwscan.reports.progress import Progress
from nsfwscan.reports.results import read_results
from nsfwscan.review.items import Items, is_listed
from nsfwscan.review.page import render
from nsfwscan.review.thumbnails import Thumbnails
from nsfwscan.sources.reader import is_image
from nsfwscan.sources.remote.url import is_url
from nsfwscan.sources.walk import IGNORE_FILE
from nsfwscan.util.files import atomic_write, check_output, write_errors
from nsfwscan.util.parallel import available_cores

PAGE, RESULTS = "index.html", "results.jsonl"
"""In the folder of a review: the page, and the results if a scan made the review."""

_IGNORED = "*\n"  # a later scan of a folder around the review must not find the thumbnails


_STDIN = "-"
"""The path of the image that a scan read from standard input."""


def _ignore(_remark: str) -> None:
    """Take a remark that was made before."""


def write_review(
    results: Path,
    out: Path,
    *,
    base: Path,
    least: float | None,
    single: bool,
    points: Sequence[OperatingPoint] | None = None,
    options: ScanOptions,
    say: Callable[[str], None],
    progress: Progress,
) -> Path:
    """Write the page of a review.

    Thumbnails that an earlier call has written are kept, so an interrupted one can be repeated.

    Parameters
    ----------
    results
        The report of the scan.
    out
        The folder to write; with `single`, the file.
    base, least, single, points
        See `nsfwscan.review.items.Items`.
    options
        Limits and workers.
    say
        Called with each remark.
    progress
        Shows how far the work is, see `nsfwscan.reports.progress`.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        If the report cannot be read, or none of its images is there. Nothing is written then.
    OutputError
        If the page cannot be written.
    EngineError
        If no worker starts.
    """
    page = out if single else out / PAGE
    total = _checked(results, base, least, say)
    if not single:
        make_folder(out)
    check_output(page, [results])
    if is_image(page):
        raise OutputError(f"cannot write {page}: it is an image; name another file")
    with (
        Thumbnails(options) as thumbnails,
        progress("thumbnails", total) as advance,
        atomic_write(page) as stream,
        write_errors(out),
    ):
        items = Items(out, base, least, single, points)
        records = read_results(results, _ignore)
        rows = items.rows(records, thumbnails, options.workers or available_cores(), advance)
        for part in render(results.name, rows, items.facts, single=single):
            stream.write(part)
    return page


def _checked(results: Path, base: Path, least: float | None, say: Callable[[str], None]) -> int:
    """Read a report to its end, look for the images, and return the number of records."""
    if results.is_fifo():
        raise InputError(f"cannot read {results}: a review reads it twice; save it as a file")
    total = listed = missing = 0
    example = ""
    for record in read_results(results, say):
        total += 1
        if is_listed(record, least) and record.path != _STDIN and not is_url(record.path):
            listed += 1
            location = str(base / record.path)
            if not os.path.lexists(location):
                missing += 1
                example = example or location
    if missing and missing == listed:
        raise InputError(
            f"none of the {listed:,} images is there, such as {example}; run this in the folder "
            "in which the scan ran, or name that folder with --base"
        )
    if missing:
        say(f"{missing:,} of the {listed:,} images are not there, such as {example}")
    return total


def make_folder(out: Path) -> None:
    """Create the folder of a review, which scans ignore.

    Raises
    ------
    OutputError
        If it cannot be created, or holds something else. Photos in it would be ignored as well.
    """
    if out == Path("-"):
        raise OutputError("cannot write -: a review is a folder; name one")
    if out.exists() and not out.is_dir():
        raise OutputError(f"cannot write {out}: it is a file; name a folder")
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in out.iterdir()} - {RESULTS}
        if others and not _is_review(out):
            raise OutputError(f"cannot write a review into {out}: it is not empty; name another")
        (out / IGNORE_FILE).write_text(_IGNORED, encoding="ascii")


def _is_review(folder: Path) -> bool:
    try:
        return (folder / IGNORE_FILE).read_text(encoding="utf-8") == _IGNORED
    except (OSError, UnicodeDecodeError):
        return False
