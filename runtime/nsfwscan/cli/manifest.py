"""The command ``nsfwscan manifest``."""

from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.util.escape import printable


def manifest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX model.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write to FILE; the default is standard output."
        ),
    ] = None,
) -> None:
    """Draft the manifest of an ONNX model that has none, and say what is left to fill in.

    The draft has what the graph tells, and the files config.json and preprocessor_config.json
    beside it.
    """
    with errors_as_exit_codes():
        from nsfwscan.inference.draft import draft_of
        from nsfwscan.util.files import atomic_write, check_output

        if output is not None:
            check_output(output, [file])
        draft = draft_of(file)
        if output is None:
            typer.echo(draft.text)
        else:
            with atomic_write(output) as stream:
                stream.write(f"{draft.text}\n")
        for note in draft.notes:
            typer.echo(f"nsfwscan: {printable(note)}", err=True)
