"""The command ``nsfwtrain``. Slow imports are inside the commands, so that ``--help`` is quick."""

from typing import NoReturn

import typer

from nsfwscan.cli.framework import run
from nsfwtrain.cli.collection import audit, import_, link, split
from nsfwtrain.cli.info import doctor, variants
from nsfwtrain.cli.messages import PROGRAM
from nsfwtrain.cli.results import evaluate, report
from nsfwtrain.cli.train import fit, sweep

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Train image classifiers on your own labelled collection.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(variants)
app.command("import")(import_)
app.command()(audit)
app.command()(split)
app.command()(fit)
app.command()(evaluate)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(sweep)
app.command()(report)
app.command()(doctor)
app.command()(link)


def main() -> NoReturn:
    """Run the command line as the whole of a process."""
    run(app, PROGRAM)
