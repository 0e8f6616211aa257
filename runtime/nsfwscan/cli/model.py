"""The command ``nsfwscan model``."""

from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.util.escape import printable


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
    """Print a model file's manifest, inputs and outputs."""
    with errors_as_exit_codes():
        from nsfwscan.inference.classifier import Classifier

        loaded = Classifier.load(file, manifest=manifest, device="cpu")
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
