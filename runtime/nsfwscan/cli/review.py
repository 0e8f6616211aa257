"""The command ``nsfwscan review``: write the page on which people decide."""

from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli.framework import errors_as_exit_codes, show_progress
from nsfwscan.limits import ScanOptions
from nsfwscan.util.escape import printable

_DEFAULTS = ScanOptions()


def review(
    results: Annotated[
        Path,
        typer.Argument(metavar="RESULTS", help="A scan's report: jsonl, json or parquet."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="PATH", help="The folder to write; with --single-file a file."
        ),
    ],
    base: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Where the scan ran: what relative paths in RESULTS refer to.",
        ),
    ] = Path(),
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="List safe images from this score on; by default, from half the threshold on.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "-m",
            "--model",
            metavar="FILE",
            help="The model of the scan, whose measured thresholds the page names.",
        ),
    ] = None,
    single_file: Annotated[
        bool,
        typer.Option("--single-file", help="Write one page that holds everything, for few images."),
    ] = False,
    max_pixels: o.MaxPixels = _DEFAULTS.max_pixels,
    max_filesize: o.MaxFilesize = _DEFAULTS.max_filesize,
    timeout: o.Timeout = _DEFAULTS.timeout,
    max_memory: o.MaxMemory = _DEFAULTS.max_memory,
    workers: o.Workers = None,
) -> None:
    """Write a page to look through a scan's results and to decide about them.

    The page is a folder with index.html, which a browser opens from the disk. It loads nothing
    from the network. Its decisions leave as decisions.json, for nsfwscan apply and allow.
    """
    with errors_as_exit_codes(extra="review"):
        from nsfwscan.review.build import write_review

        options = ScanOptions(
            max_pixels=max_pixels, max_filesize=max_filesize, timeout=timeout,
            max_memory=max_memory, workers=workers,
        )  # fmt: skip

        def say(text: str) -> None:
            typer.echo(f"nsfwscan: {printable(text)}", err=True)

        points = None
        if model is not None:
            from nsfwscan.inference.classifier import Classifier

            points = Classifier.load(model, device="cpu").manifest.operating_points
        page = write_review(
            results, output, base=base, least=min_score, single=single_file,
            points=points, options=options,
            say=say, progress=show_progress("nsfwscan"),
        )  # fmt: skip
        typer.echo(printable(str(page)))
