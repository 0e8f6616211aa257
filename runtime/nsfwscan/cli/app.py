"""The command ``nsfwscan``: translates a command line into library calls, and errors into codes.

Whatever is slow to import is imported inside the commands, so that ``--help`` is quick.
"""

import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from nsfwscan.cli import cache as cachecommands
from nsfwscan.cli import options as o
from nsfwscan.cli.doctor import doctor
from nsfwscan.cli.framework import (
    CommandWithPanels,
    GroupWithDefault,
    asked_to_end,
    checked_defaults,
    end_at_once,
    errors_as_exit_codes,
    overrides,
    run,
    silent_libraries,
)
from nsfwscan.errors import CacheError, InputError, ModelError, NsfwScanError
from nsfwscan.limits import FRAMES, MAX_FILESIZE, MAX_MEMORY, MAX_PIXELS, TIMEOUT
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.cache.store import Cache
    from nsfwscan.inference.classifier import Classifier
    from nsfwscan.reports.report import Report
    from nsfwscan.scanner import Scan
    from nsfwscan.sources.entry import Skipped
    from nsfwscan.sources.walk import ByteStream

_OPTIONS_FILE = "nsfwscan options file"

app = typer.Typer(
    cls=GroupWithDefault,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(
    cachecommands.app,
    name="cache",
    help="Show or delete the scores that earlier scans have kept.",
)


def main() -> NoReturn:
    """Run the command line as the whole of a process."""
    try:
        run(app, "nsfwscan")
    except SystemExit as end:
        end_at_once(end.code)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    with errors_as_exit_codes():
        from nsfwscan import __version__
        from nsfwscan.inference.modelfile import default_model_path, read_model
        from nsfwscan.inference.session import engine_version

        typer.echo(f"nsfwscan {__version__}")
        typer.echo(engine_version() or "no inference engine is installed")
        try:
            model = default_model_path()
            typer.echo(f"{model.stem} {hashlib.sha256(read_model(model)).hexdigest()[:12]}")
        except ModelError as error:
            typer.echo(error)
    raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_versions,
            is_eager=True,
            help="Print the versions of package, engine and model.",
        ),
    ] = False,
) -> None:
    """Find indecent images in files and folders, on this machine.

    Exit codes: 0 all safe, 1 something flagged, 2 wrong usage or something that could not be
    scored, 130 interrupted, 143 ended by SIGTERM.

    Each option can also be set by a variable (NSFWSCAN_THRESHOLD for --threshold) or in a file
    nsfwscan.toml in the current folder or the user's configuration folder.
    """
    del version  # its callback has done it all
    if context.invoked_subcommand in {"scan", "cache", "doctor"}:
        with errors_as_exit_codes():
            try:
                defaults = _defaults_from_file(context)
            except NsfwScanError:
                raise
            except Exception:
                if context.invoked_subcommand != "doctor":
                    raise
                defaults = {}  # whatever is broken, it is about to find
            place = {name: value for name, value in defaults.items() if name == "cache"}
            context.default_map = {
                "scan": defaults,
                "cache": {"info": place, "clear": place},
                "doctor": {k: v for k, v in defaults.items() if k in {"cache", "device"}},
            }


def _defaults_from_file(context: typer.Context) -> dict[str, Any]:
    from nsfwscan.cli.config import find_config, read_config

    path = find_config()
    if path is None:
        return {}
    context.meta[_OPTIONS_FILE] = path
    command = context.command.commands["scan"]  # type: ignore[attr-defined]  # it is a group
    return checked_defaults(read_config(path), path, command, context)


@app.command(cls=CommandWithPanels)
def scan(
    context: typer.Context,
    paths: o.Paths = None,
    files_from: o.FilesFrom = None,
    null: o.Null = False,
    glob: o.Glob = None,
    no_ignore: o.NoIgnore = False,
    hidden: o.Hidden = False,
    max_depth: o.MaxDepth = None,
    max_pixels: o.MaxPixels = MAX_PIXELS,
    max_filesize: o.MaxFilesize = MAX_FILESIZE,
    timeout: o.Timeout = TIMEOUT,
    max_memory: o.MaxMemory = MAX_MEMORY,
    threshold: o.Threshold = None,
    model: o.Model = None,
    manifest: o.Manifest = None,
    device: o.Device = "auto",
    frames: o.Frames = FRAMES,
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
    if not paths and files_from is None:
        typer.echo((context.parent or context).get_help(), err=True)
        raise typer.Exit(2)
    if null and files_from is None:
        raise typer.BadParameter("--null says how the list of --files-from is written; name one")
    bare_paths = files_with_matches or print0
    if bare_paths and format_ is not o.Format.TEXT:
        raise typer.BadParameter(f"-l and -0 print bare paths; leave --format {format_} out")
    for name, number in (("--threshold", threshold), ("--timeout", timeout)):
        if number is not None and math.isnan(number):
            raise typer.BadParameter(f"{name} takes a number, not nan")
    with errors_as_exit_codes(verbose=verbose):
        with ExitStack() as stack:
            stack.enter_context(silent_libraries())
            loading = stack.enter_context(_loading(model, manifest, device))

            from nsfwscan.reports.report import console, open_output, open_report
            from nsfwscan.scanner import scan as scan_paths
            from nsfwscan.sources.selection import Selection
            from nsfwscan.sources.walk import discover, read_list

            terminal = console(sys.stderr, color.value) if sys.stderr.isatty() else None
            tell = partial(typer.echo, err=True) if terminal is None else terminal.print

            def say(text: str) -> None:
                with suppress(OSError):  # where nobody can be told, the scan goes on
                    tell(text)

            named = paths or []
            wanted: Iterable[str] = named
            if files_from is not None:
                listed = stack.enter_context(_open_list(files_from))
                wanted = chain(named, read_list(listed, null=null))
            selection = Selection(
                glob=glob or (), ignore=not no_ignore, hidden=hidden, max_depth=max_depth
            )
            classifier = loading.result()
            verdicts = (
                None
                if no_cache and not overrides(context, "cache", "no_cache")
                else stack.enter_context(closing(_open_cache(cache, say)))
            )
            out = stack.enter_context(open_output(output, format_.value, raw=bare_paths))
            report = open_report(
                out,
                format_.value,
                paths="\0" if print0 else "\n" if bare_paths else "",
                color=color.value,
                quiet=quiet,
                say=say,
            )
            streams = bare_paths or format_ is not o.Format.TEXT
            bar: AbstractContextManager[Callable[[int], None]] = nullcontext(lambda _: None)
            hides_results = streams and output is None and out.isatty()
            if terminal is not None and not (quiet or no_progress or hides_results):
                from nsfwscan.reports.progress import progress

                total = None if files_from else lambda: discover(named, selection)
                bar = progress(terminal, "scanning", total)

            def pass_by(entry: "Skipped") -> None:
                if verbose:
                    say(f"nsfwscan: skipped, {entry.kind}: {printable(entry.location)}")
                advance(under_way.examined)

            under_way = stack.enter_context(
                closing(
                    scan_paths(
                        wanted,
                        classifier,
                        threshold=threshold,
                        frames=frames,
                        exact=exact,
                        batch_size=batch_size,
                        workers=workers,
                        threads=threads,
                        max_pixels=max_pixels,
                        max_filesize=max_filesize,
                        timeout=timeout,
                        max_memory=max_memory,
                        cache=verdicts,
                        rehash=rehash,
                        selection=selection,
                        on_skipped=pass_by,
                    )
                )
            )
            if not quiet:
                options_file = context.meta.get(_OPTIONS_FILE)
                for line in _settings(classifier, under_way, options_file, verbose=verbose):
                    say(f"nsfwscan: {line}")
            with bar as advance:
                summary, failure = _drive(under_way, report, advance)
            report.close(summary)
            if verdicts is not None and verdicts.failure is not None:
                say(f"nsfwscan: {printable(str(verdicts.failure))}; the scan went on without it")
            if not quiet and (streams or output is not None):
                say(summary.line())
        if failure is not None:
            raise failure
    raise typer.Exit(summary.exit_code(exit_zero=exit_zero))


@contextmanager
def _loading(
    model: Path | None, manifest: Path | None, device: str
) -> "Iterator[Future[Classifier]]":
    """Load the model on a thread, and have a worker come up, while others are imported."""
    from nsfwscan.decoding.worker_pool import acquire, release

    release(acquire())

    from nsfwscan.inference.session import engine

    engine()  # the thread is to make its session, and not to wait for its turn to import
    with ThreadPoolExecutor(1, "load") as loader:
        yield loader.submit(_load, model, manifest, device)


def _drive(
    under_way: "Scan", report: "Report", advance: Callable[[int], None]
) -> tuple[Summary, NsfwScanError | None]:
    """Hand record after record to the report; tell why it ended early, if it did."""
    summary, failure = Summary(skipped=under_way.skipped), None
    started = time.monotonic()
    try:
        for record in under_way:
            summary.add(record)
            report.add(record)
            advance(under_way.examined)
            if asked_to_end():
                raise KeyboardInterrupt  # noqa: TRY301 - whose exception was lost
    except KeyboardInterrupt:
        summary.interrupted = True
    except NsfwScanError as error:
        summary.failed, failure = True, error
    summary.seconds = time.monotonic() - started
    return summary, failure


def _open_list(name: str) -> "AbstractContextManager[ByteStream]":
    if name == "-":
        if sys.stdin is None:
            raise InputError("--files-from -: standard input is closed")
        return nullcontext(cast("ByteStream", sys.stdin.buffer))
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise InputError(f"--files-from: cannot read {name}: {error.strerror}") from error


def _load(model: Path | None, manifest: Path | None, device: str) -> "Classifier":
    from nsfwscan.inference.classifier import Classifier

    return Classifier.load(model, manifest=manifest, device=device)


def _open_cache(path: Path | None, say: Callable[[str], None]) -> "Cache":
    """Open the cache; one that nobody named may be unusable, and the scan goes on without it."""
    from nsfwscan.cache.database import default_path
    from nsfwscan.cache.store import Cache

    if path is not None:
        return Cache(path)
    try:
        return Cache(default_path())
    except CacheError as error:
        say(f"nsfwscan: {printable(str(error))}; scanning without it")
        return Cache()


def _settings(
    classifier: "Classifier", under_way: "Scan", options_file: Path | None, *, verbose: bool
) -> Iterable[str]:
    """Say in lines what is used, and on what it runs."""
    if options_file is not None:
        yield f"options from {printable(str(options_file))}"
    settings = under_way.settings
    if classifier.device_note is not None:
        yield printable(classifier.device_note)
    name = printable(classifier.manifest.name)
    yield f"{name} on {classifier.device}, flagging scores from {settings['threshold']} on"
    if verbose:
        from nsfwscan.util.parallel import available_cores

        yield (
            f"decoding in {_counted(settings['workers'], 'process', 'es')}, "
            f"scoring up to {_counted(settings['batch_size'], 'frame')} at a time "
            f"on {_counted(settings['threads'], 'thread')}; "
            f"{_counted(available_cores(), 'core')} granted"
        )
        more = {"model": classifier.path, **settings}
        yield from (
            f"{key.replace('_', ' ')}: {printable(str(value))}" for key, value in more.items()
        )


def _counted(count: object, noun: str, ending: str = "s") -> str:
    return f"{count} {noun}" + ("" if count == 1 else ending)


@app.command(cls=CommandWithPanels)
def model(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="An ONNX model; the default is open_nsfw."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The JSON description of a model that carries none."),
    ] = None,
) -> None:
    """Print what a model file says of itself."""
    with errors_as_exit_codes():
        loaded = _load(file, manifest, "cpu")
        lines = {
            "file": loaded.path,
            "sha256": loaded.sha256,
            "input": ", ".join(map(str, loaded.inputs)),
            "output": ", ".join(map(str, loaded.outputs)),
            "manifest": loaded.manifest_origin,
        }
        for key, value in lines.items():
            typer.echo(f"{key:9} {printable(str(value))}")
        typer.echo(loaded.manifest.to_json())


app.command(cls=CommandWithPanels)(doctor)
