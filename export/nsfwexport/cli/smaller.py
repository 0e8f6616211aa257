"""The commands that make a smaller or faster file of a model."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsfwexport.cli import options as o
from nsfwexport.cli.messages import PROGRAM, errors, show, warn, warn_left_out
from nsfwscan.cli.framework import show_progress
from nsfwscan.util.files import check_output

if TYPE_CHECKING:
    from nsfwexport.modelfile import Precision


@o.with_options
def half(
    model: o.Model,
    output: o.Out,
    *,
    comparing: o.Comparing,
) -> None:
    """Convert a model file to half precision: half the size, the same contract."""
    with errors():
        wanted = comparing.chosen_images()
        check_output(output, o.named(model, comparing.split, *(wanted or ())))
        from nsfwexport.half import half as to_half

        report = to_half(
            model,
            output,
            images=wanted,
            devices=comparing.devices,
            tolerances=comparing.tolerances("half"),
            progress=show_progress(PROGRAM),
        )
        show(report, comparing.format_)


@o.with_options
def quantize(
    model: o.AnyModel,
    output: o.Out,
    weights_only: Annotated[
        bool,
        typer.Option(
            "--weights-only", help="Store the weights as integers, and compute in floats."
        ),
    ] = False,
    manifest: o.ManifestFile = None,
    *,
    calibrating: o.Calibrating,
) -> None:
    """Convert a model file to INT8, if its scores stay nearly the same: a quarter of the size."""
    with errors():
        wanted = calibrating.chosen_images()
        if wanted is None and not weights_only:
            raise typer.BadParameter(
                "INT8 is calibrated on photos of yours: give --images, or --store and --split"
            )
        check_output(output, o.named(model, manifest, calibrating.split, *(wanted or ())))
        from nsfwexport.quantization import quantize as to_int8
        from nsfwexport.quantization import weights
        from nsfwexport.tables import candidate_table

        precision: Precision = "int8 weights" if weights_only else "int8"
        tolerances = calibrating.tolerances(precision)
        devices, progress = calibrating.devices, show_progress(PROGRAM)
        if weights_only:
            report = weights.weights_only(
                model, output, images=wanted, manifest=manifest, devices=devices,
                tolerances=tolerances, progress=progress,
            )  # fmt: skip
        else:
            report, candidates = to_int8.quantize(
                model, output, wanted or (), manifest=manifest, devices=devices,
                tolerances=tolerances, progress=progress,
            )  # fmt: skip
            typer.echo(candidate_table(candidates), err=calibrating.format_ is not o.Format.TEXT)
            fastest = max(one.speedup for one in candidates if one.comparison.holds)
            if fastest < 1:
                warn(
                    "no candidate is faster than the original on this processor; "
                    f"{to_int8.WEIGHTS_ONLY}"
                )
        show(report, calibrating.format_)


def cascade(
    model: o.AnyModel,
    fast: Annotated[
        Path,
        typer.Argument(metavar="FAST", help="Its INT8 file, made by nsfwexport quantize."),
    ],
    images: Annotated[
        Path,
        typer.Option(
            "--images", metavar="FOLDER", help="Photos such as the models will score: compare."
        ),
    ],
    output: o.Out,
    manifest: o.ManifestFile = None,
    band: Annotated[
        float | None,
        typer.Option(
            "--band",
            metavar="X",
            help="Distance from a threshold, in log-odds, within which the original scores again. "
            "The default is chosen on the photos.",
        ),
    ] = None,
    format_: o.ReportFormat = o.Format.TEXT,
) -> None:
    """Join a model and its INT8 file, so that scans with both decide as the model."""
    if band is not None and not 0 < band < math.inf:
        raise typer.BadParameter(f"--band must be a finite number above 0, got {band}")
    with errors():
        from nsfwexport import samples

        wanted = samples.in_folder(images)
        check_output(output, o.named(model, fast, manifest, *wanted))
        from nsfwexport import tables
        from nsfwexport.quantization.cascade import cascade as join

        progress = show_progress(PROGRAM)
        verdict = join(model, fast, output, wanted, manifest=manifest, band=band, progress=progress)
        shown = {
            o.Format.TEXT: tables.text_cascade,
            o.Format.JSON: tables.json_cascade,
            o.Format.MARKDOWN: tables.markdown_cascade,
        }
        typer.echo(shown[format_](verdict))
        if not verdict.effects[0].again:
            warn(
                "no photo is within the band of the default threshold, so the comparison proves "
                "little; give photos that score nearer to it with --images"
            )
        warn_left_out(verdict.left_out)
