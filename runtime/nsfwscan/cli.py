"""The command ``nsfwscan``: translates a command line into library calls, and errors into codes.

Whatever is slow to import is imported inside the commands, so that ``--help`` is quick.
"""

import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from nsfwscan.commandline import (
    CommandWithPanels,
    GroupWithDefault,
    checked_defaults,
    errors_as_exit_codes,
    option,
    silent_libraries,
)
from nsfwscan.errors import InputError, ModelError
from nsfwscan.escape import printable
from nsfwscan.limits import FRAMES, MAX_FILESIZE, MAX_PIXELS

if TYPE_CHECKING:
    from rich.console import Console

    from nsfwscan.classifier import Classifier
    from nsfwscan.discover import ByteStream


class Format(StrEnum):
    """Report formats."""

    TEXT = "text"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


app = typer.Typer(
    cls=GroupWithDefault,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    app(prog_name="nsfwscan")
    sys.exit()


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    with errors_as_exit_codes():
        from nsfwscan import __version__
        from nsfwscan.classifier import default_model_path, engine_version, read_model

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
    """Find indecent pictures in files and folders, on this machine.

    Exit codes: 0 all safe, 1 something flagged, 2 wrong usage or something that could not be
    scored, 130 interrupted.

    Each option can also be set by a variable (NSFWSCAN_THRESHOLD for --threshold) or in a file
    nsfwscan.toml in the current folder or the user's configuration folder.
    """
    del version  # its callback has done it all
    if context.invoked_subcommand == "scan":
        with errors_as_exit_codes():
            context.default_map = {"scan": _defaults_from_file(context)}


def _defaults_from_file(context: typer.Context) -> dict[str, Any]:
    from nsfwscan.config import find_config, read_config

    path = find_config()
    if path is None:
        return {}
    typer.echo(f"nsfwscan: options from {printable(str(path))}", err=True)
    command = context.command.commands["scan"]  # type: ignore[attr-defined]  # it is a group
    return checked_defaults(read_config(path), path, command, context)


@app.command(cls=CommandWithPanels)
def scan(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH", show_default=False, help="Files and folders, searched recursively."
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        option(
            "--files-from",
            panel="Input",
            metavar="FILE",
            help="Also scan the paths listed in FILE, one a line; - is standard input.",
        ),
    ] = None,
    null: Annotated[
        bool, option("--null", panel="Input", help="In that list, NUL bytes end the paths.")
    ] = False,
    glob: Annotated[
        list[str] | None,
        option(
            "-g",
            "--glob",
            panel="Input",
            metavar="GLOB",
            show_default=False,
            help="Only files that match, or, as !GLOB, all but those; the last match decides.",
        ),
    ] = None,
    no_ignore: Annotated[
        bool, option("--no-ignore", panel="Input", help="Disregard .nsfwscanignore files.")
    ] = False,
    hidden: Annotated[
        bool, option("--hidden", panel="Input", help="Also files and folders named .something.")
    ] = False,
    max_depth: Annotated[
        int | None,
        option(
            "--max-depth",
            panel="Input",
            metavar="N",
            min=1,
            help="Enter N levels of folders; 1 is the named folder alone.",
        ),
    ] = None,
    max_pixels: Annotated[
        int,
        option(
            "--max-pixels",
            panel="Input",
            metavar="N",
            min=1,
            help="A picture of more pixels is an error.",
        ),
    ] = MAX_PIXELS,
    max_filesize: Annotated[
        int,
        option(
            "--max-filesize",
            panel="Input",
            metavar="BYTES",
            min=1,
            help="A picture file of more bytes is an error.",
        ),
    ] = MAX_FILESIZE,
    threshold: Annotated[
        float | None,
        option(
            "-t",
            "--threshold",
            panel="Scoring",
            metavar="SCORE",
            min=0.0,
            max=1.0,
            help="Flag pictures from this score on; the default is the model's own.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        option(
            "-m",
            "--model",
            panel="Scoring",
            metavar="FILE",
            help="An ONNX model; the default is open_nsfw.",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        option(
            "--manifest",
            panel="Scoring",
            metavar="FILE",
            help="The JSON description of a model that carries none.",
        ),
    ] = None,
    device: Annotated[
        str,
        option(
            "-d", "--device", panel="Scoring", metavar="DEVICE", help="auto, cpu, cuda or cuda:N."
        ),
    ] = "auto",
    frames: Annotated[
        int,
        option(
            "--frames",
            panel="Scoring",
            metavar="N",
            min=1,
            help="Score up to N frames of an animation; the highest score counts.",
        ),
    ] = FRAMES,
    exact: Annotated[
        bool,
        option(
            "--exact",
            panel="Scoring",
            help="Decode JPEG files in full: slower, and scores change little.",
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        option(
            "--batch-size",
            panel="Scoring",
            metavar="N",
            min=1,
            help="Pictures scored at a time; the default depends on the device.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        option(
            "--workers",
            panel="Scoring",
            metavar="N",
            min=1,
            help="Threads that read and decode; the default is one a core.",
        ),
    ] = None,
    format_: Annotated[
        Format,
        option(
            "-f",
            "--format",
            panel="Output",
            metavar="FORMAT",
            help="Print the results as text, jsonl, json or csv.",
        ),
    ] = Format.TEXT,
    output: Annotated[
        Path | None,
        option(
            "-o",
            "--output",
            panel="Output",
            metavar="FILE",
            help="Write the results there, not to standard output.",
        ),
    ] = None,
    files_with_matches: Annotated[
        bool,
        option(
            "-l",
            "--files-with-matches",
            panel="Output",
            help="Print only the paths of flagged files, one a line.",
        ),
    ] = False,
    print0: Annotated[
        bool, option("-0", "--print0", panel="Output", help="The same, ended by NUL bytes.")
    ] = False,
    exit_zero: Annotated[
        bool, option("--exit-zero", panel="Output", help="Exit 0, not 1, if something is flagged.")
    ] = False,
    quiet: Annotated[bool, option("-q", "--quiet", panel="Output", help="Results only.")] = False,
    verbose: Annotated[
        bool,
        option(
            "-v",
            "--verbose",
            panel="Output",
            help="Also say which settings are in use and what is left alone.",
        ),
    ] = False,
    no_progress: Annotated[
        bool, option("--no-progress", panel="Output", help="Show no progress bar.")
    ] = False,
    color: Annotated[
        Color,
        option(
            "--color",
            panel="Output",
            metavar="WHEN",
            help="Colour text: auto, always or never; NO_COLOR is heeded.",
        ),
    ] = Color.AUTO,
) -> None:
    """Scan files and folders (the default command)."""
    if not paths and files_from is None:
        raise typer.BadParameter("name a file or folder, or a list of them with --files-from")
    if null and files_from is None:
        raise typer.BadParameter("--null says how the list of --files-from is written; name one")
    bare_paths = files_with_matches or print0
    if bare_paths and format_ is not Format.TEXT:
        raise typer.BadParameter(f"-l and -0 print bare paths; leave --format {format_} out")
    with errors_as_exit_codes(verbose=verbose), ExitStack() as stack:
        from nsfwscan.discover import LeftAlone, Selection, discover, read_list
        from nsfwscan.report import console, open_output, open_report
        from nsfwscan.scanner import scan as scan_paths
        from nsfwscan.summary import Summary

        # What an image library thinks of a picture is in the picture's record, if it matters.
        warnings.simplefilter("ignore")
        stack.enter_context(silent_libraries())
        status = console(sys.stderr, color.value)
        selected = Selection(
            glob=glob or (), ignore=not no_ignore, hidden=hidden, max_depth=max_depth
        )
        named = paths or []
        wanted: Iterable[str] = named
        if files_from is not None:
            listed = stack.enter_context(_open_list(files_from))
            wanted = chain(named, read_list(listed, null=null))
        classifier = _load(model, manifest, device)
        out = stack.enter_context(open_output(output, format_.value, raw=bare_paths))
        report = open_report(
            out,
            format_.value,
            paths="\0" if print0 else "\n" if bare_paths else "",
            color=color.value,
            quiet=quiet,
        )

        def say_left_alone(entry: LeftAlone) -> None:
            status.print(f"nsfwscan: left alone, {entry.kind}: {printable(entry.path)}")

        run = scan_paths(
            wanted,
            classifier,
            threshold=threshold,
            frames=frames,
            exact=exact,
            batch_size=batch_size,
            workers=workers,
            max_pixels=max_pixels,
            max_filesize=max_filesize,
            selection=selected,
            on_left_alone=say_left_alone if verbose else None,
        )
        if not quiet:
            _say_settings(status, classifier, run.settings, verbose=verbose)
        summary = Summary(left_alone=run.left_alone)
        to_terminal = output is None and sys.stdout.isatty()
        streams = bare_paths or format_ is not Format.TEXT
        bar: AbstractContextManager[Callable[[int], None]] = nullcontext(lambda _: None)
        if not (quiet or no_progress or (streams and to_terminal)) and sys.stderr.isatty():
            from nsfwscan.progress import progress

            bar = progress(status, None if files_from else lambda: discover(named, selected))
        started = time.monotonic()
        with bar as advance:
            try:
                for record in run:
                    summary.add(record)
                    report.add(record)
                    advance(run.examined)
            except KeyboardInterrupt:
                summary.interrupted = True
        summary.seconds = time.monotonic() - started
        report.close(summary)
        if not quiet and (streams or output is not None):
            status.print(summary.line())
    raise typer.Exit(summary.exit_code(exit_zero=exit_zero))


def _open_list(name: str) -> "AbstractContextManager[ByteStream]":
    if name == "-":
        return nullcontext(cast("ByteStream", sys.stdin.buffer))
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise InputError(f"--files-from: cannot read {name}: {error.strerror}") from error


def _load(model: Path | None, manifest: Path | None, device: str) -> "Classifier":
    from nsfwscan.classifier import Classifier

    return Classifier.load(model, manifest=manifest, device=device)


def _say_settings(
    out: "Console", classifier: "Classifier", settings: Mapping[str, object], *, verbose: bool
) -> None:
    if classifier.device_note is not None:
        out.print(f"nsfwscan: {printable(classifier.device_note)}")
    name, threshold = printable(classifier.manifest.name), settings["threshold"]
    out.print(f"nsfwscan: {name} on {classifier.device}, flagging scores from {threshold} on")
    if verbose:
        more = {"model": classifier.path, "threads": classifier.threads, **settings}
        for key, value in more.items():
            out.print(f"nsfwscan: {key.replace('_', ' ')}: {printable(str(value))}")


@app.command(cls=CommandWithPanels)
def model(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An ONNX model; the default is open_nsfw.")
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
