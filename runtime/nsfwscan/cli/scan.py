"""The command ``nsfwscan scan``: load the model, run the scan, finish the report."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli import termination
from nsfwscan.cli.config import overrides
from nsfwscan.cli.framework import errors_as_exit_codes, show_progress
from nsfwscan.cli.preparation import STDIN, Loaded, check_outputs, load
from nsfwscan.cli.settings import about, settings
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.cli.thresholds import resolved
from nsfwscan.errors import NsfwScanError
from nsfwscan.limits import MAX_CACHE_SIZE, ScanOptions
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.inference.operating import OperatingPoint
    from nsfwscan.reports.report import Report
    from nsfwscan.review.screen import Screen
    from nsfwscan.scanner import Scan
    from nsfwscan.sources.entry import Found, Skipped

_STDOUT = Path("-")
_DEFAULTS = ScanOptions()


def scan(
    context: typer.Context,
    paths: o.Paths = None,
    files_from: o.FilesFrom = None,
    null: o.Null = False,
    shard: o.Shard = None,
    glob: o.Glob = None,
    no_ignore: o.NoIgnore = False,
    hidden: o.Hidden = False,
    follow: o.Follow = False,
    max_depth: o.MaxDepth = None,
    max_pixels: o.MaxPixels = _DEFAULTS.max_pixels,
    max_filesize: o.MaxFilesize = _DEFAULTS.max_filesize,
    timeout: o.Timeout = _DEFAULTS.timeout,
    max_memory: o.MaxMemory = _DEFAULTS.max_memory,
    threshold: o.Threshold = None,
    review_band: o.ReviewBand = None,
    model: o.Model = None,
    manifest: o.Manifest = None,
    fast: o.Fast = False,
    companion: o.Companion = None,
    device: o.Device = "auto",
    frames: o.Frames = _DEFAULTS.frames,
    views: o.Views = _DEFAULTS.views,
    exact: o.Exact = False,
    batch_size: o.BatchSize = None,
    workers: o.Workers = None,
    threads: o.Threads = None,
    cache: o.CacheFile = None,
    max_cache_size: o.MaxCacheSize = MAX_CACHE_SIZE,
    no_cache: o.NoCache = False,
    rehash: o.Rehash = False,
    allow: o.Allow = None,
    show_allowed: o.ShowAllowed = False,
    baseline: o.Baseline = None,
    review: o.ReviewFolder = None,
    format_: o.ReportFormat = o.Format.TEXT,
    classes: o.Classes = False,
    output: o.Output = None,
    files_with_matches: o.FilesWithMatches = False,
    print0: o.Print0 = False,
    exit_zero: o.ExitZero = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
    color: o.ColorWhen = o.Color.AUTO,
) -> None:
    """Scan files and folders (the default command)."""
    if output == _STDOUT:
        output = None
    given = SimpleNamespace(**locals())  # typer reads the signature; the options travel as one
    _check(given)
    extra = "review" if format_ is o.Format.HTML or review is not None else None
    with errors_as_exit_codes(verbose=verbose, extra=extra):
        with ExitStack() as stack:
            stack.enter_context(silent_libraries())
            check_outputs(given)
            loaded = load(given, stack)
            report, finished = _run(given, loaded, stack)
            _finish(given, loaded, report, finished)
        if review is not None and not (finished.summary.interrupted or finished.failure):
            _write_review(given, loaded.classifier.manifest.operating_points, loaded.say)
        if finished.failure is not None:
            raise finished.failure
    raise typer.Exit(finished.summary.exit_code(exit_zero=exit_zero))


@dataclass(frozen=True, slots=True)
class _Finished:
    summary: Summary
    failure: NsfwScanError | None


def _check(given: SimpleNamespace) -> None:
    """Refuse options that do not go together."""
    context = given.context
    if not given.paths and given.files_from is None:
        typer.echo((context.parent or context).get_help(), err=True)
        raise typer.Exit(2)
    if given.null and given.files_from is None:
        raise typer.BadParameter("--null describes the list of --files-from; give one")
    if str(given.files_from) == STDIN and STDIN in (given.paths or ()):
        raise typer.BadParameter("standard input is either an image (-) or a list (--files-from -)")
    if _bare_paths(given) and given.format_ is not o.Format.TEXT:
        raise typer.BadParameter(f"-l and -0 print bare paths; leave --format {given.format_} out")
    if math.isnan(given.timeout):
        raise typer.BadParameter("--timeout takes a number, not nan")
    if given.review_band is not None and given.threshold is not None:
        if overrides(context, "review_band", "threshold"):
            given.threshold = None
        elif overrides(context, "threshold", "review_band"):
            given.review_band = None
        else:
            raise typer.BadParameter("--review-band LOW:HIGH sets the threshold to LOW; omit one")


def _bare_paths(given: SimpleNamespace) -> bool:
    return bool(given.files_with_matches or given.print0)


def _run(given: SimpleNamespace, loaded: Loaded, stack: ExitStack) -> "tuple[Report, _Finished]":
    """Open the report and scan."""
    from nsfwscan.reports.output import open_output, open_report
    from nsfwscan.scanner import scan as scan_paths

    bare_paths = _bare_paths(given)
    out = stack.enter_context(open_output(given.output, given.format_.value, raw=bare_paths))
    bar = _progress(given, loaded, to_terminal=given.output is None and out.isatty())

    def on_skipped(entry: "Skipped") -> None:
        if given.verbose:
            loaded.say(f"nsfwscan: skipped, {entry.kind}: {printable(entry.location)}")
        advance(run.examined)

    if given.verbose:
        from nsfwscan.cli.logs import log_lines

        stack.enter_context(log_lines(loaded.say))
    threshold, certain = resolved(loaded.classifier.manifest, given.threshold, given.review_band)
    run = stack.enter_context(
        scan_paths(
            loaded.sources,
            loaded.classifier,
            fast=loaded.fast,
            options=ScanOptions(**{f.name: getattr(given, f.name) for f in fields(ScanOptions)}),
            threshold=threshold,
            uncertain_below=certain,
            cache=loaded.cache,
            rehash=given.rehash,
            classes=given.classes,
            selection=loaded.selection,
            shard=given.shard,
            on_skipped=on_skipped,
        )
    )
    report = open_report(
        out,
        given.format_.value,
        about(given, loaded.classifier, loaded.fast, run),
        paths="\0" if given.print0 else "\n" if bare_paths else "",
        color=given.color.value,
        quiet=given.quiet,
        show_allowed=given.show_allowed,
        say=loaded.say,
    )
    if given.review is not None:
        report = _with_results(report, given, stack)
    if not given.quiet:
        for line in settings(given, loaded.classifier, loaded.fast, run):
            loaded.say(f"nsfwscan: {line}")
    with bar as advance:
        return report, _consume(run, loaded.screen, report, advance)


def _with_results(report: "Report", given: SimpleNamespace, stack: ExitStack) -> "Report":
    """Let a report also write the results that the review is made of."""
    from nsfwscan.reports.jsonlines import JsonLinesReport
    from nsfwscan.reports.output import open_output
    from nsfwscan.reports.report import Reports
    from nsfwscan.review.build import RESULTS, make_folder

    make_folder(given.review)
    out = stack.enter_context(open_output(given.review / RESULTS, "jsonl", raw=False))
    return Reports(report, JsonLinesReport(out))


def _write_review(
    given: SimpleNamespace, points: "Sequence[OperatingPoint]", say: Callable[[str], None]
) -> None:
    from nsfwscan.reports.progress import no_progress
    from nsfwscan.review.build import RESULTS, write_review

    silent = given.quiet or given.no_progress
    page = write_review(
        given.review / RESULTS, given.review, base=Path(), least=None, single=False,
        points=points,
        options=ScanOptions(**{f.name: getattr(given, f.name) for f in fields(ScanOptions)}),
        say=say, progress=no_progress if silent else show_progress("nsfwscan"),
    )  # fmt: skip
    if not given.quiet:
        say(f"nsfwscan: the review is {printable(str(page))}")


def _progress(
    given: SimpleNamespace, loaded: Loaded, *, to_terminal: bool
) -> AbstractContextManager[Callable[[int], None]]:
    """Show the progress, except where a bar would be in the way of the results."""
    from nsfwscan.reports.progress import no_progress, progress

    hides_results = loaded.terminal is not None and to_terminal and _streams(given)
    if given.quiet or given.no_progress or hides_results:
        return no_progress("scanning", None)
    from nsfwscan.sources.remote.url import is_url
    from nsfwscan.sources.shard import share
    from nsfwscan.sources.walk import discover

    # A store is not listed twice.
    unknown = given.files_from or any(is_url(path) for path in given.paths)

    def total() -> "Iterator[Found]":
        return share(discover(list(loaded.sources), loaded.selection), given.shard)

    def say(line: str) -> None:
        loaded.say(f"nsfwscan: {line}")

    return progress(loaded.terminal or say, "scanning", None if unknown else total)


def _streams(given: SimpleNamespace) -> bool:
    """Tell whether the report prints records as they come, without a summary."""
    return _bare_paths(given) or given.format_ is not o.Format.TEXT


def _consume(
    run: "Scan", screen: "Screen", report: "Report", advance: Callable[[int], None]
) -> _Finished:
    """Pass each record to the report; give the summary, and the failure that ended the scan."""
    summary, failure = Summary(skipped=run.skipped), None
    started = time.monotonic()
    try:
        with termination.unwrapped():
            for record in run:
                judged, known = screen.judge(record)
                summary.add(judged, known=known)
                if not known:
                    report.add(judged)
                advance(run.examined)
                if termination.requested():
                    raise KeyboardInterrupt  # noqa: TRY301 - its own exception was lost
    except KeyboardInterrupt:
        summary.interrupted = True
    except NsfwScanError as error:
        summary.failed, failure = True, error
    summary.seconds = time.monotonic() - started
    return _Finished(summary, failure)


def _finish(given: SimpleNamespace, loaded: Loaded, report: "Report", finished: _Finished) -> None:
    """Close the report and say what the user should know."""
    report.close(finished.summary)
    cache = loaded.cache
    if cache is not None and cache.failure is not None:
        loaded.say(f"nsfwscan: {printable(str(cache.failure))}; the scan went on without it")
    if not given.quiet and (expired := loaded.screen.expired):
        images = f"{expired:,} flagged image{'' if expired == 1 else 's'}"
        loaded.say(f"nsfwscan: {printable(str(given.allow))} allows {images} no longer (expired)")
    if not given.quiet and (_streams(given) or given.output is not None):
        loaded.say(finished.summary.line())
    if nothing := finished.summary.nothing():
        loaded.say(f"nsfwscan: {nothing}")
