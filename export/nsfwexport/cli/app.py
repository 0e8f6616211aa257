"""The command ``nsfwexport``. Slow imports are inside the commands, so that ``--help`` is quick."""

from typing import NoReturn

import typer

from nsfwexport.cli.convert import all_, convert, verify
from nsfwexport.cli.evaluate import calibrate, check, compare
from nsfwexport.cli.messages import PROGRAM
from nsfwexport.cli.smaller import cascade, half, quantize
from nsfwscan.cli.framework import run

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Convert trained models to ONNX files, and verify that their scores stay the same.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(convert)
app.command("all", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    all_
)
app.command()(verify)
app.command()(half)
app.command()(quantize)
app.command()(cascade)
app.command()(calibrate)
app.command()(compare)
app.command()(check)


def main() -> NoReturn:
    """Run the command line as the whole of a process."""
    run(app, PROGRAM)
