"""The command ``nsfwscan model``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.inference.manifest import Manifest


def model(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="An ONNX model; the default is open_nsfw."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The JSON description of a model that carries none, or the name of a known one.",
        ),
    ] = None,
    as_card: Annotated[
        bool, typer.Option("--card", help="Print a model card in Markdown instead.")
    ] = False,
) -> None:
    """Print a model file's manifest, inputs, outputs and thresholds."""
    with errors_as_exit_codes():
        from nsfwscan.inference.card import card
        from nsfwscan.inference.classifier import Classifier

        loaded = Classifier.load(file, manifest=manifest, device="cpu")
        if as_card:
            typer.echo(card(loaded.manifest, loaded.sha256), nl=False)
            return
        lines = {
            "file": loaded.path,
            "sha256": loaded.sha256,
            "input": ", ".join(map(str, loaded.inputs)),
            "output": ", ".join(map(str, loaded.outputs)),
            "manifest": loaded.manifest_origin,
        }
        for key, value in lines.items():
            typer.echo(f"{key:9} {printable(str(value))}")
        _print_points(loaded.manifest)
        typer.echo(loaded.manifest.to_json())


def _print_points(manifest: "Manifest") -> None:
    from nsfwscan.cli.tables import print_table
    from nsfwscan.inference.card import HEADER, operating_rows

    rows = operating_rows(manifest)
    if rows:
        print_table(HEADER, rows)
