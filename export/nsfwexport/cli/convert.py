"""The commands on training runs: convert one or several, and verify."""

from pathlib import Path
from typing import Annotated

import typer

from nsfwexport.cli import options as o
from nsfwexport.cli.messages import PROGRAM, errors, show
from nsfwscan.cli.framework import show_progress
from nsfwscan.util.files import check_output


@o.with_options
def convert(
    run_folder: o.Run,
    output: o.Out,
    variant: o.Variant = None,
    opset: Annotated[
        int, typer.Option("--opset", metavar="N", min=13, help="Version of ONNX's operators.")
    ] = 18,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="SPDX", help="Licence of the weights, for the manifest."),
    ] = None,
    *,
    comparing: o.Comparing,
) -> None:
    """Convert a training run to one ONNX file, and write it only if the scores are the same."""
    with errors():
        wanted = comparing.chosen_images()
        check_output(output, o.named(run_folder, comparing.split, *(wanted or ())))
        from nsfwexport import keras
        from nsfwexport.convert import convert as to_onnx

        progress = show_progress(PROGRAM)
        with progress("loading the run", None):
            source = keras.load(run_folder, variant)
        report = to_onnx(
            source,
            output,
            opset=opset,
            images=wanted,
            devices=comparing.devices,
            tolerances=comparing.tolerances(),
            licence=licence,
            progress=progress,
        )
        show(report, comparing.format_)


def all_(
    context: typer.Context,
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of training runs.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the ONNX files.")
    ],
) -> None:
    """Convert every run of a folder, each in its own process; other options go to convert."""
    with errors():
        from nsfwexport.batch import convert_all, table

        rows = convert_all(runs, output, context.args, show_progress(PROGRAM))
        typer.echo(table(rows))
        if any(row.error for row in rows):
            raise typer.Exit(1)


@o.with_options
def verify(
    model: o.Model,
    run_folder: o.Run,
    variant: o.Variant = None,
    *,
    comparing: o.Comparing,
) -> None:
    """Compare an ONNX file with its training run; exit with 1 if the scores differ."""
    with errors():
        wanted = comparing.chosen_images()
        import tempfile

        from nsfwexport import keras, modelfile, samples
        from nsfwexport.parity import verify as compare

        precision = modelfile.precision_of(modelfile.read_graph(model))
        progress = show_progress(PROGRAM)
        with progress("loading the run", None):
            reference = keras.load(run_folder, variant).reference()
        with tempfile.TemporaryDirectory() as folder:
            report = compare(
                model,
                reference,
                wanted or samples.make(Path(folder)),
                generated=wanted is None,
                devices=comparing.devices,
                tolerances=comparing.tolerances(precision),
                progress=progress,
            )
        show(report, comparing.format_)
        report.require(model)
