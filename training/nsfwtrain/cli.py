"""The command ``nsfwtrain``."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from nsfwscan.commandline import errors_as_exit_codes, run
from nsfwtrain.split import LABELS, PARTS, count, read_labels, write_split
from nsfwtrain.split import split as assign
from nsfwtrain.variants import VARIANTS

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Train image classifiers on your own labelled collection.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    run(app, "nsfwtrain")


@app.command()
def variants() -> None:
    """Print the models that can be trained, and what a published study got with each."""
    from rich.console import Console
    from rich.table import Table

    table = Table("variant", box=None)
    for heading in ("image px", "batch", "features", "parameters", "loss", "accuracy", "time"):
        table.add_column(heading, justify="right")
    for row in VARIANTS:
        table.add_row(
            row.name,
            str(row.image_size),
            str(row.batch_size),
            str(row.feature_dim),
            f"{row.parameters:,}",
            f"{row.published_loss:.4f}",
            f"{row.published_accuracy:.4f}",
            f"{row.published_time.total_seconds() / 60:.1f} min",
        )
    Console(highlight=False).print(table)


@app.command()
def split(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="CSV: objectId,value.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="CSV: objectId,value,type.")
    ],
) -> None:
    """Split a label file into train, validation and test, by hash, and print the counts."""
    with errors_as_exit_codes("nsfwtrain"):
        rows = read_labels(labels)
        parts = assign(rows)
        write_split(output, rows, parts)
        counts = count(rows, parts)
        typer.echo(f"{'':10}{'label 0':>10}{'label 1':>10}{'total':>10}")
        for part in PARTS:
            numbers = [counts[part, value] for value in LABELS]
            typer.echo(f"{part:10}" + "".join(f"{n:>10,}" for n in [*numbers, sum(numbers)]))
        totals = [sum(counts[part, value] for part in PARTS) for value in LABELS]
        typer.echo(f"{'total':10}" + "".join(f"{n:>10,}" for n in [*totals, sum(totals)]))
