"""The command ``nsfwexport``."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, cast

import typer

from nsfwexport.errors import ParityError
from nsfwexport.options import (
    Device,
    Devices,
    Format,
    Images,
    MaxDifference,
    MaxFlips,
    Model,
    Out,
    PartOf,
    Parts,
    ReportFormat,
    Run,
    Split,
    Store,
    Variant,
    chosen_images,
    chosen_tolerances,
)  # fmt: skip
from nsfwscan import Classifier
from nsfwscan.cli.framework import errors_as_exit_codes, run
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.util.escape import printable
from nsfwscan.util.files import check_output

if TYPE_CHECKING:
    from nsfwexport.calibrate import OperatingPoint
    from nsfwexport.comparison import Report

PROGRAM = "nsfwexport"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Convert trained models to ONNX files, and verify that their scores stay the same.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    run(app, PROGRAM)


@contextmanager
def _errors() -> Iterator[None]:
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


def _named(*inputs: Path | None) -> list[Path]:
    return [path for path in inputs if path is not None]


def _show(report: "Report", format_: Format) -> None:
    from nsfwexport.tables import json_report, markdown_report, text_report

    shown = {Format.TEXT: text_report, Format.JSON: json_report, Format.MARKDOWN: markdown_report}
    typer.echo(shown[format_](report))
    for path, why in report.left_out.items():
        typer.echo(printable(f"{PROGRAM}: left out: {path}: {why}"), err=True)
    if not report.spread:
        low, high = report.score_range
        typer.echo(
            f"{PROGRAM}: all scores are between {low:.3f} and {high:.3f}, so the comparison proves "
            "little; compare on images of both labels with --images",
            err=True,
        )


@app.command()
def convert(
    run_folder: Run,
    output: Out,
    variant: Variant = None,
    opset: Annotated[
        int, typer.Option("--opset", metavar="N", min=13, help="Version of ONNX's operators.")
    ] = 18,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="SPDX", help="Licence of the weights, for the manifest."),
    ] = None,
    images: Images = None,
    store: Store = None,
    split: Split = None,
    part: PartOf = Parts.TEST,
    device: Devices = None,
    max_difference: MaxDifference = None,
    max_flips: MaxFlips = None,
    format_: ReportFormat = Format.TEXT,
) -> None:
    """Convert a training run to one ONNX file, and write it only if the scores are the same."""
    with _errors():
        wanted = chosen_images(images, store, split, part)
        check_output(output, _named(run_folder, split, *(wanted or ())))
        from nsfwexport import keras
        from nsfwexport.convert import convert as to_onnx

        report = to_onnx(
            keras.load(run_folder, variant),
            output,
            opset=opset,
            images=wanted,
            devices=device or [Device.CPU],
            tolerances=chosen_tolerances(max_difference, max_flips),
            licence=licence,
        )
        _show(report, format_)


@app.command("all", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def all_(
    context: typer.Context,
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of training runs.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the ONNX files.")
    ],
) -> None:
    """Convert every run of a folder, each in its own process; other options go to convert."""
    with _errors():
        from nsfwexport.batch import convert_all, table

        rows = convert_all(runs, output, context.args)
        typer.echo(table(rows))
        if any(row.error for row in rows):
            raise typer.Exit(1)


@app.command()
def verify(
    model: Model,
    run_folder: Run,
    variant: Variant = None,
    images: Images = None,
    store: Store = None,
    split: Split = None,
    part: PartOf = Parts.TEST,
    device: Devices = None,
    max_difference: MaxDifference = None,
    max_flips: MaxFlips = None,
    format_: ReportFormat = Format.TEXT,
) -> None:
    """Compare an ONNX file with its training run; exit with 1 if the scores differ."""
    with _errors():
        wanted = chosen_images(images, store, split, part)
        import tempfile

        from nsfwexport import keras, modelfile, samples
        from nsfwexport.parity import verify as compare

        half = modelfile.is_half(modelfile.read_graph(model))
        with tempfile.TemporaryDirectory() as folder:
            report = compare(
                model,
                keras.load(run_folder, variant).reference(),
                wanted or samples.make(Path(folder)),
                generated=wanted is None,
                devices=device or [Device.CPU],
                tolerances=chosen_tolerances(max_difference, max_flips, half=half),
            )
        _show(report, format_)
        report.require(model)


@app.command()
def half(
    model: Model,
    output: Out,
    images: Images = None,
    store: Store = None,
    split: Split = None,
    part: PartOf = Parts.TEST,
    device: Devices = None,
    max_difference: MaxDifference = None,
    max_flips: MaxFlips = None,
    format_: ReportFormat = Format.TEXT,
) -> None:
    """Convert a model file to half precision: half the size, the same contract."""
    with _errors():
        wanted = chosen_images(images, store, split, part)
        check_output(output, _named(model, split, *(wanted or ())))
        from nsfwexport.half import half as to_half

        report = to_half(
            model,
            output,
            images=wanted,
            devices=device or [Device.CPU],
            tolerances=chosen_tolerances(max_difference, max_flips, half=True),
        )
        _show(report, format_)


@app.command()
def calibrate(
    model: Model,
    run_folder: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="RUN", help="The model's training run, for the images it held out."
        ),
    ] = None,
    store: Store = None,
    split: Split = None,
    part: PartOf = Parts.VALIDATION,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", help="CSV of labelled images: path,label."),
    ] = None,
    target_fpr: Annotated[
        float | None,
        typer.Option(
            "--target-fpr", metavar="SHARE", help="Flag at most this share of label 0; in (0, 1)."
        ),
    ] = None,
    target_recall: Annotated[
        float | None,
        typer.Option(
            "--target-recall", metavar="SHARE", help="Flag at least this share of label 1."
        ),
    ] = None,
    prevalence: Annotated[
        list[float] | None,
        typer.Option(
            "--prevalence",
            metavar="SHARE",
            help="Also print the precision if this share of all images has label 1; repeatable.",
        ),
    ] = None,
) -> None:
    """Choose a model's threshold on labelled images, and write it into its manifest."""
    if (target_fpr is None) == (target_recall is None):
        raise typer.BadParameter("choose one target: --target-fpr or --target-recall")
    target: Literal["fpr", "recall"] = "fpr" if target_recall is None else "recall"
    value = cast("float", target_fpr if target_recall is None else target_recall)
    for share in (value, *(prevalence or ())):
        if not 0 < share < 1:
            raise typer.BadParameter(f"a share must be between 0 and 1, got {share:g}")
    chosen = (run_folder, store, labels)
    if sum(one is not None for one in chosen) != 1 or (store is None) != (split is None):
        raise typer.BadParameter("choose labelled images: --run, --store and --split, or --labels")
    with _errors():
        from nsfwexport import calibrate as calibration
        from nsfwexport import modelfile

        manifest = modelfile.read(model)[1]
        check_output(model)
        if run_folder is not None:
            labelled, where = calibration.held_out(manifest, run_folder), "its training, held out"
        elif labels is not None:
            labelled = calibration.score(Classifier.load(model), calibration.read_list(labels))
            where = labels.name
        else:
            calibration.check_unseen(manifest, part.value)
            listed = calibration.from_split(cast("Path", store), cast("Path", split), part.value)
            labelled, where = calibration.score(Classifier.load(model), listed), f"the {part} part"
        old, point, notes = calibration.calibrate(model, labelled, target, value, where)
        typer.echo(f"threshold            {point.threshold} (was {old})")
        typer.echo(f"false-positive rate  {point.fpr}")
        typer.echo(f"recall               {point.recall}")
        for share in prevalence or ():
            typer.echo(f"if {share:.2%} of all files are indecent, {_precision(point, share)}")
        for note in notes:
            typer.echo(f"{PROGRAM}: {note}", err=True)


def _precision(point: "OperatingPoint", prevalence: float) -> str:
    precision = point.precision(prevalence)
    if math.isnan(precision):
        return "no file is flagged"
    return f"{precision:.1%} of the flagged files are"


@app.command()
def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")],
) -> None:
    """Check that a model file keeps the rules of this project; exit with 1 if it does not."""
    with _errors():
        from nsfwexport import modelfile
        from nsfwexport.contract import graph_violations, violations
        from nsfwscan import Classifier

        broken = violations(Classifier.load(model, device="cpu"))
        broken += graph_violations(modelfile.read_graph(model))
        for sentence in broken:
            typer.echo(printable(f"{model}: {sentence}"))
        if broken:
            raise typer.Exit(1)
        typer.echo(printable(f"{model}: a valid, self-contained model file"))
