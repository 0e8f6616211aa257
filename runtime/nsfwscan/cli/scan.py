"""The command ``nsfwscan scan``: load the model, run the scan, finish the report."""

import io
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli import termination
from nsfwscan.cli.config import OPTIONS_FILE, overrides
from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.errors import CacheError, InputError, NsfwScanError, OutputError
from nsfwscan.limits import ScanOptions
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.cache.store import Cache
    from nsfwscan.inference.classifier import Classifier
    from nsfwscan.reports.report import Report
    from nsfwscan.scanner import Scan, Source
    from nsfwscan.sources.entry import Entry, Found, Skipped
    from nsfwscan.sources.selection import Selection

_STDIN = "-"
_STDOUT = Path("-")
_DEFAULTS = ScanOptions()


def scan(
    context: typer.Context,
    paths: o.Paths = None,
    files_from: o.FilesFrom = None,
    null: o.Null = False,
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
    model: o.Model = None,
    manifest: o.Manifest = None,
    device: o.Device = "auto",
    frames: o.Frames = _DEFAULTS.frames,
    views: o.Views = _DEFAULTS.views,
    exact: o.Exact = False,
    batch_size: o.BatchSize = None,
    workers: o.Workers = None,
    threads: o.Threads = None,
    cache: o.CacheFile = None,
    no_cache: o.NoCache = False,
    rehash: o.Rehash = False,
    format_: o.ReportFormat = o.Format.TEXT,
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
    with errors_as_exit_codes(verbose=verbose):
        with ExitStack() as stack:
            stack.enter_context(silent_libraries())
            _check_output(given)
            loaded = _load(given, stack)
            report, finished = _run(given, loaded, stack)
            _finish(given, loaded, report, finished)
        if finished.failure is not None:
            raise finished.failure
    raise typer.Exit(finished.summary.exit_code(exit_zero=exit_zero))


@dataclass(frozen=True, slots=True)
class _Loaded:
    classifier: "Classifier"
    cache: "Cache | None"
    sources: "Iterable[Source]"
    selection: "Selection"
    terminal: Any  # rich's console of standard error, if that is a terminal
    say: Callable[[str], None]


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
    if str(given.files_from) == _STDIN and _STDIN in (given.paths or ()):
        raise typer.BadParameter("standard input is either an image (-) or a list (--files-from -)")
    if _bare_paths(given) and given.format_ is not o.Format.TEXT:
        raise typer.BadParameter(f"-l and -0 print bare paths; leave --format {given.format_} out")
    for name, number in (("--threshold", given.threshold), ("--timeout", given.timeout)):
        if number is not None and math.isnan(number):
            raise typer.BadParameter(f"{name} takes a number, not nan")


def _bare_paths(given: SimpleNamespace) -> bool:
    return bool(given.files_with_matches or given.print0)


def _check_output(given: SimpleNamespace) -> None:
    """Refuse, before the work, an output that cannot be written or that is an input.

    A list is read as the scan goes, and a folder is walked, so any image may be an input.
    """
    if given.output is None:
        return
    from nsfwscan.sources.filetype import HEAD_BYTES, sniff
    from nsfwscan.sources.reader import open_regular, read_up_to
    from nsfwscan.util.files import check_output

    named = (given.model, given.manifest, given.cache, given.files_from, *(given.paths or ()))
    files = [Path(name) for name in named if name is not None and str(name) != _STDIN]
    options_file = given.context.meta.get(OPTIONS_FILE)
    files += [] if options_file is None else [options_file]
    stdin = [0] if _STDIN in map(str, (given.files_from, *(given.paths or ()))) else []
    check_output(given.output, [*stdin, *(file for file in files if not file.is_dir())])
    if not given.output.is_file():
        return
    with suppress(OSError), open_regular(str(given.output), follow=True) as old:
        if sniff(read_up_to(old, HEAD_BYTES), given.output.name):
            raise OutputError(f"cannot write {given.output}: it is an image; name another file")


def _load(given: SimpleNamespace, stack: ExitStack) -> _Loaded:
    """Load the model and open the inputs and the cache.

    The model is loaded on a thread, and a worker process starts, while this thread imports.
    """
    loading = stack.enter_context(_loading(given.model, given.manifest, given.device))

    from nsfwscan.reports.console import console
    from nsfwscan.sources.selection import Selection

    terminal = console(sys.stderr, given.color.value) if sys.stderr.isatty() else None
    write = partial(typer.echo, err=True) if terminal is None else terminal.print

    def say(text: str) -> None:
        with suppress(OSError):  # standard error is closed or full; the scan goes on
            write(text)

    sources = _sources(given, stack)
    selection = Selection(
        glob=given.glob or (),
        ignore=not given.no_ignore,
        hidden=given.hidden,
        follow=given.follow,
        max_depth=given.max_depth,
    )
    classifier = loading.result()
    cache = None
    if not given.no_cache or overrides(given.context, "cache", "no_cache"):
        cache = _open_cache(given.cache, stack, say)
    return _Loaded(classifier, cache, sources, selection, terminal, say)


@contextmanager
def _loading(
    model: Path | None, manifest: Path | None, device: str
) -> "Iterator[Future[Classifier]]":
    from nsfwscan.decoding.worker_pool import acquire, release

    release(acquire())

    from nsfwscan.inference.session import engine

    engine()  # the thread creates the session and does not wait for the import lock

    def load() -> "Classifier":
        from nsfwscan.inference.classifier import Classifier

        return Classifier.load(model, manifest=manifest, device=device)

    with ThreadPoolExecutor(1, "load") as loader:
        yield loader.submit(load)


def _sources(given: SimpleNamespace, stack: ExitStack) -> "Iterable[Source]":
    """Give the paths, with standard input as an entry, and then the paths of the list."""
    from nsfwscan.sources.walk import read_list

    sources: list[Source] = list(dict.fromkeys(given.paths or ()))
    if _STDIN in sources:
        sources[sources.index(_STDIN)] = _image_from_stdin(given.max_filesize)
    if given.files_from is None:
        return sources
    stream = stack.enter_context(_open_list(given.files_from))
    return chain(sources, read_list(stream, null=given.null))


def _image_from_stdin(max_filesize: int) -> "Entry":
    """Read standard input here: the main thread can be interrupted, and a retry needs the bytes."""
    from nsfwscan.sources.entry import Entry
    from nsfwscan.sources.reader import read_up_to

    try:
        data = read_up_to(_stdin(), max_filesize + 1)
    except OSError as error:
        raise InputError(f"cannot read standard input: {error.strerror}") from error
    return Entry(_STDIN, explicit=True, open=lambda: io.BytesIO(data))


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return sys.stdin.buffer


def _open_list(name: Path) -> AbstractContextManager[Any]:
    if str(name) == _STDIN:
        return nullcontext(_stdin())
    try:
        return name.open("rb")
    except OSError as error:
        raise InputError(f"--files-from: cannot read {name}: {error.strerror}") from error


def _open_cache(path: Path | None, stack: ExitStack, say: Callable[[str], None]) -> "Cache | None":
    """Open the cache. If the default one is unusable, the scan goes on without a cache."""
    from nsfwscan.cache.database import default_path
    from nsfwscan.cache.store import Cache

    if path is not None:
        return stack.enter_context(Cache(path))
    try:
        return stack.enter_context(Cache(default_path()))
    except CacheError as error:
        say(f"nsfwscan: {printable(str(error))}; scanning without it")
        return None


def _run(given: SimpleNamespace, loaded: _Loaded, stack: ExitStack) -> "tuple[Report, _Finished]":
    """Open the report and scan."""
    from nsfwscan.reports.output import open_output, open_report
    from nsfwscan.scanner import scan as scan_paths

    bare_paths = _bare_paths(given)
    out = stack.enter_context(open_output(given.output, given.format_.value, raw=bare_paths))
    report = open_report(
        out,
        given.format_.value,
        paths="\0" if given.print0 else "\n" if bare_paths else "",
        color=given.color.value,
        quiet=given.quiet,
        say=loaded.say,
    )
    bar = _progress(given, loaded, to_terminal=given.output is None and out.isatty())

    def on_skipped(entry: "Skipped") -> None:
        if given.verbose:
            loaded.say(f"nsfwscan: skipped, {entry.kind}: {printable(entry.location)}")
        advance(run.examined)

    if given.verbose:
        from nsfwscan.cli.logs import log_lines

        stack.enter_context(log_lines(loaded.say))
    run = stack.enter_context(
        scan_paths(
            loaded.sources,
            loaded.classifier,
            options=ScanOptions(**{f.name: getattr(given, f.name) for f in fields(ScanOptions)}),
            threshold=given.threshold,
            cache=loaded.cache,
            rehash=given.rehash,
            selection=loaded.selection,
            on_skipped=on_skipped,
        )
    )
    if not given.quiet:
        for line in _settings(given, loaded.classifier, run):
            loaded.say(f"nsfwscan: {line}")
    with bar as advance:
        return report, _consume(run, report, advance)


def _progress(
    given: SimpleNamespace, loaded: _Loaded, *, to_terminal: bool
) -> AbstractContextManager[Callable[[int], None]]:
    """Give the progress bar, or a function that does nothing where a bar would be in the way."""
    hides_results = to_terminal and _streams(given)
    if loaded.terminal is None or given.quiet or given.no_progress or hides_results:
        return nullcontext(lambda _: None)
    from nsfwscan.reports.progress import progress
    from nsfwscan.sources.walk import discover

    def total() -> "Iterator[Found]":
        return discover(list(loaded.sources), loaded.selection)

    return progress(loaded.terminal, "scanning", None if given.files_from else total)


def _streams(given: SimpleNamespace) -> bool:
    """Tell whether the report prints records as they come, without a summary."""
    return _bare_paths(given) or given.format_ is not o.Format.TEXT


def _consume(run: "Scan", report: "Report", advance: Callable[[int], None]) -> _Finished:
    """Pass each record to the report; give the summary, and the failure that ended the scan."""
    summary, failure = Summary(skipped=run.skipped), None
    started = time.monotonic()
    try:
        with termination.unwrapped():
            for record in run:
                summary.add(record)
                report.add(record)
                advance(run.examined)
                if termination.requested():
                    raise KeyboardInterrupt  # noqa: TRY301 - its own exception was lost
    except KeyboardInterrupt:
        summary.interrupted = True
    except NsfwScanError as error:
        summary.failed, failure = True, error
    summary.seconds = time.monotonic() - started
    return _Finished(summary, failure)


def _finish(given: SimpleNamespace, loaded: _Loaded, report: "Report", finished: _Finished) -> None:
    """Close the report and say what the user should know."""
    report.close(finished.summary)
    cache = loaded.cache
    if cache is not None and cache.failure is not None:
        loaded.say(f"nsfwscan: {printable(str(cache.failure))}; the scan went on without it")
    if not given.quiet and (_streams(given) or given.output is not None):
        loaded.say(finished.summary.line())
    if nothing := finished.summary.nothing():
        loaded.say(f"nsfwscan: {nothing}")


def _settings(given: SimpleNamespace, classifier: "Classifier", run: "Scan") -> Iterator[str]:
    """Describe in lines the model, the device and the settings."""
    options_file = given.context.meta.get(OPTIONS_FILE)
    if options_file is not None:
        yield f"options from {printable(str(options_file))}"
    options = run.options
    if classifier.device_note is not None:
        yield printable(classifier.device_note)
    name = printable(classifier.manifest.name)
    yield f"{name} on {classifier.device}, flagging scores from {run.threshold} on"
    if given.verbose:
        from nsfwscan.util.parallel import available_cores

        yield (
            f"decoding in {_counted(options.workers, 'process', 'es')}, "
            f"scoring up to {_counted(options.batch_size, 'frame')} at a time "
            f"on {_counted(options.threads, 'thread')}; "
            f"{_counted(available_cores(), 'core')} available"
        )
        more = {"model": classifier.path, "threshold": run.threshold, **asdict(options)}
        yield from (
            f"{key.replace('_', ' ')}: {printable(str(value))}" for key, value in more.items()
        )


def _counted(count: object, noun: str, ending: str = "s") -> str:
    return f"{count} {noun}" + ("" if count == 1 else ending)
