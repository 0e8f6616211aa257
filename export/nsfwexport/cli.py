"""The command ``nsfwexport``."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from nsfwscan.commandline import errors_as_exit_codes, run

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Turn trained models into ONNX files, and prove that both say the same.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    run(app, "nsfwexport")


@app.callback()
def _commands() -> None:
    """Keep the commands' names, however few they are."""


@app.command()
def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")],
) -> None:
    """Check that a model file is what this project promises of its own; exit 1 if it is not."""
    with errors_as_exit_codes("nsfwexport"):
        from nsfwexport.contract import violations
        from nsfwscan import Classifier

        broken = violations(Classifier.load(model, device="cpu"))
        for sentence in broken:
            typer.echo(f"{model}: {sentence}")
        if broken:
            raise typer.Exit(1)
        typer.echo(f"{model}: one self-contained model file, as it should be")
