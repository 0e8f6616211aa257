"""The command ``nsfwexport``."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, cast

import typer

from nsfwexport.errors import ParityError
from nsfwscan import OutputError
from nsfwscan.cli.framework import errors_as_exit_codes, run
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwexport.parity import Gate, Report

PROGRAM = "nsfwexport"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Turn trained models into ONNX files, and prove that both say the same.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Device(StrEnum):
    """Where a model file is compared."""

    CPU = "cpu"
    CUDA = "cuda"
    CUDA_TF32 = "cuda-tf32"


class Format(StrEnum):
    """How a report is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class Parts(StrEnum):
    """The parts of a split."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file made by nsfwexport.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A training run, or a Keras SavedModel.")]
Out = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The ONNX file.")]
Variant = Annotated[
    str | None,
    typer.Option("--variant", metavar="NAME", help="What a model that is no run is, such as b0."),
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="Compare on these images; default: made up."),
]
Store = Annotated[
    Path | None, typer.Option("--store", metavar="STORE", help="Or on those of an object store.")
]
Split = Annotated[
    Path | None, typer.Option("--split", metavar="SPLIT", help="CSV: objectId,value,type.")
]
PartOf = Annotated[Parts, typer.Option("--part", help="Which part of the split.")]
Devices = Annotated[
    list[Device] | None,
    typer.Option("--device", help="Where to compare; repeatable. The default is cpu."),
]
MaxDifference = Annotated[
    float | None,
    typer.Option(
        "--max-difference",
        metavar="P",
        min=0,
        max=1,
        help="Largest difference of a probability; default: 1e-4, with TF32 or in half 5e-3.",
    ),
]
MaxFlips = Annotated[
    float | None,
    typer.Option(
        "--max-flips",
        metavar="SHARE",
        min=0,
        max=1,
        help="Largest share of decisions that flip; default: 0, with TF32 or in half 0.001.",
    ),
]


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    run(app, PROGRAM)


@contextmanager
def _errors() -> Iterator[None]:
    """Print what goes wrong in a sentence; exit 1 where two models do not say the same."""
    told = errors_as_exit_codes(PROGRAM, extra="export")
    with told, silent_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, on what it is about to change
        try:
            yield
        except ParityError as error:
            head, *worst = str(error).splitlines()
            for line in (f"{PROGRAM}: {head}", *worst):
                typer.echo(printable(line), err=True)
            raise typer.Exit(1) from error


def _check_place(output: Path) -> None:
    """Refuse a place that cannot be written before the work, not after it."""
    if output.is_dir() or not output.parent.is_dir():
        why = "it is a folder" if output.is_dir() else f"there is no folder {output.parent}"
        raise OutputError(f"cannot write {output}: {why}")


def _images(
    images: Path | None, store: Path | None, split: Path | None, part: Parts
) -> "Sequence[Path] | None":
    from nsfwexport import samples

    if (store is None) != (split is None):
        raise typer.BadParameter("--store and --split go together")
    if images is not None and store is not None:
        raise typer.BadParameter("name images by --images, or by --store and --split, not both")
    if images is not None:
        return samples.in_folder(images)
    if store is not None and split is not None:
        return samples.in_store(store, split, part.value)
    return None


def _gates(
    base: "Mapping[str, Gate]", difference: float | None, flips: float | None
) -> "dict[str, Gate]":
    from nsfwexport.parity import Gate

    return {
        name: Gate(
            gate.difference if difference is None else difference,
            gate.flips if flips is None else flips,
        )
        for name, gate in base.items()
    }


def _show(report: "Report", format_: Format) -> None:
    from nsfwexport.tables import json_report, markdown_report, text_report

    shown = {Format.TEXT: text_report, Format.JSON: json_report, Format.MARKDOWN: markdown_report}
    typer.echo(shown[format_](report))
    for path, why in report.left_out.items():
        typer.echo(printable(f"{PROGRAM}: left out: {path}: {why}"), err=True)
    if not report.spread:
        low, high = report.score_range
        typer.echo(
            f"{PROGRAM}: the scores lie between {low:.3f} and {high:.3f}, which proves little; "
            "name images of both kinds with --images",
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
    format_: Annotated[Format, typer.Option("--format", help="Of the report.")] = Format.TEXT,
) -> None:
    """Convert a training run to one ONNX file; it gets its name once it says the same."""
    with _errors():
        _check_place(output)
        wanted = _images(images, store, split, part)
        from nsfwexport import keras
        from nsfwexport.convert import convert as to_onnx
        from nsfwexport.parity import GATES

        report = to_onnx(
            keras.load(run_folder, variant),
            output,
            opset=opset,
            images=wanted,
            devices=device or [Device.CPU],
            gates=_gates(GATES, max_difference, max_flips),
            licence=licence,
        )
        _show(report, format_)


@app.command("all", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def all_(
    context: typer.Context,
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of training runs.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Of the ONNX files.")
    ],
) -> None:
    """Convert every run of a folder, each in its own process; all other options go to convert."""
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
    format_: Annotated[Format, typer.Option("--format", help="Of the report.")] = Format.TEXT,
) -> None:
    """Compare an ONNX file with the run it came from; exit 1 if they do not say the same."""
    with _errors():
        wanted = _images(images, store, split, part)
        import tempfile

        from nsfwexport import keras, modelfile, samples
        from nsfwexport.parity import GATES, HALF_GATES
        from nsfwexport.parity import verify as look

        source = keras.load(run_folder, variant)
        in_half = modelfile.is_half(modelfile.read_graph(model))
        base = HALF_GATES if in_half else GATES
        with tempfile.TemporaryDirectory() as folder:
            report = look(
                model,
                str(run_folder),
                source.scorer(),
                source.preprocess,
                wanted or samples.make(Path(folder)),
                devices=device or [Device.CPU],
                gates=_gates(base, max_difference, max_flips),
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
    format_: Annotated[Format, typer.Option("--format", help="Of the report.")] = Format.TEXT,
) -> None:
    """Write a model file in half precision: half the size, the same contract."""
    with _errors():
        _check_place(output)
        wanted = _images(images, store, split, part)
        from nsfwexport.half import half as to_half
        from nsfwexport.parity import HALF_GATES

        report = to_half(
            model,
            output,
            images=wanted,
            devices=device or [Device.CPU],
            gates=_gates(HALF_GATES, max_difference, max_flips),
        )
        _show(report, format_)


@app.command()
def calibrate(
    model: Model,
    store: Store = None,
    split: Split = None,
    part: PartOf = Parts.VALIDATION,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", help="Or a list of images: path,label."),
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
            help="Also say what share of the flagged is label 1 where this share of all is; "
            "repeatable.",
        ),
    ] = None,
) -> None:
    """Choose a model's threshold on labelled images, and write it into its manifest."""
    if (target_fpr is None) == (target_recall is None):
        raise typer.BadParameter("say what for: --target-fpr, or --target-recall")
    target: Literal["fpr", "recall"] = "fpr" if target_recall is None else "recall"
    value = cast("float", target_fpr if target_recall is None else target_recall)
    for share in (value, *(prevalence or ())):
        if not 0 < share < 1:
            raise typer.BadParameter(f"a share must be between 0 and 1, got {share:g}")
    if (labels is None) == (store is None) or (store is None) != (split is None):
        raise typer.BadParameter("name labelled images: --store and --split, or --labels")
    with _errors():
        from dataclasses import replace

        from nsfwexport import calibrate as calibration
        from nsfwexport import modelfile
        from nsfwscan import Classifier
        from nsfwscan.util.files import atomic_path

        proto, manifest = modelfile.read(model)
        if labels is not None:
            listed, where = calibration.read_list(labels), labels.name
        else:
            listed = calibration.from_split(cast("Path", store), cast("Path", split), part.value)
            where = f"the {part} part"
        truth, scores = calibration.score(Classifier.load(model), listed)
        point = calibration.choose(truth, scores, target, value)
        choice = calibration.describe(point, target, value, f"{len(truth):,} images of {where}")
        changed = replace(manifest, threshold=point.threshold, threshold_choice=choice)
        with atomic_path(model) as temporary:
            temporary.write_bytes(modelfile.embed(proto, changed))
        typer.echo(f"threshold            {point.threshold:g} (was {manifest.threshold:g})")
        typer.echo(f"false-positive rate  {point.fpr}")
        typer.echo(f"recall               {point.recall}")
        for share in prevalence or ():
            precision = point.precision(share)
            said = (
                "nothing would be flagged"
                if math.isnan(precision)
                else (f"{precision:.1%} of those flagged are")
            )
            typer.echo(f"where {share:.2%} of all files are indecent, {said}")
        said_too = calibration.warnings(point, target, value)
        if manifest.parity is not None and changed.threshold != manifest.parity.get("threshold"):
            said_too.append(
                f"flips were counted at {manifest.parity.get('threshold')}; nsfwexport verify "
                "counts them at the new threshold"
            )
        for sentence in said_too:
            typer.echo(f"{PROGRAM}: {sentence}", err=True)


@app.command()
def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")],
) -> None:
    """Check that a model file is what this project promises of its own; exit 1 if it is not."""
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
        typer.echo(printable(f"{model}: one self-contained model file, as it should be"))
