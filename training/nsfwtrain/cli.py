"""The command ``nsfwtrain``."""

import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli.doctor import Format, ReportFormat, show
from nsfwscan.cli.framework import errors_as_exit_codes, run
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.cli.termination import INTERRUPTED
from nsfwscan.util.escape import printable

PROGRAM = "nsfwtrain"


app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Train image classifiers on your own labelled collection.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Store = Annotated[Path, typer.Option("--store", metavar="STORE", help="The object store.")]
Labels = Annotated[Path, typer.Argument(metavar="LABELS", help="CSV: objectId,value.")]
Split = Annotated[Path, typer.Argument(metavar="SPLIT", help="CSV: objectId,value,type.")]
SplitOption = Annotated[Path, typer.Option("--split", metavar="SPLIT", help="The split file.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be used.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", metavar="FOLDER", help="The default is STORE/cache.")
]
Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="HANDLE",
        help="A SavedModel folder or a hub handle; the default is the variant's handle.",
    ),
]
Mode = Annotated[str, typer.Option("--mode", metavar="MODE", help="features or end-to-end.")]
Epochs = Annotated[int, typer.Option("--epochs", metavar="N", min=1, help="Epochs.")]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", min=1, help="The default is the variant's."),
]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", metavar="RATE", min=1e-9, max=1e3, help="Of Adam.")
]
ClassWeight = Annotated[
    str | None,
    typer.Option("--class-weight", metavar="balanced", help="Give both labels the same weight."),
]
Patience = Annotated[
    int | None,
    typer.Option(
        "--patience", metavar="N", min=1, help="Stop after N epochs without a gain; keep the best."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed.")]
MixedPrecision = Annotated[
    bool, typer.Option("--mixed-precision", help="Compute in float16, on a GPU that gains from it.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    run(app, PROGRAM)


def _errors() -> AbstractContextManager[None]:
    """Turn errors into a sentence and an exit code; a missing package is one of the extra."""
    return errors_as_exit_codes(PROGRAM, extra="train")


def _say(line: str) -> None:
    typer.echo(printable(line))


def _progress(label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show a progress bar if standard error is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(lambda _done: None)
    from nsfwscan.reports.console import console
    from nsfwscan.reports.progress import progress

    return progress(console(sys.stderr, "auto"), label, total)


def _list(heading: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    typer.echo(f"{heading}: {len(lines):,}")
    for line in lines:
        typer.echo(f"  {printable(line)}")


@app.command()
def variants() -> None:
    """Print the models that can be trained, and a published study's results with them."""
    from rich.console import Console
    from rich.table import Table

    from nsfwtrain.variants import VARIANTS

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


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Images of one label.")],
    store: Store,
    label: Annotated[
        int, typer.Option("--label", metavar="0|1", min=0, max=1, help="0 decent, 1 indecent.")
    ],
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link the files where possible, instead of copying.")
    ] = False,
) -> None:
    """Add the images of a folder to a store; exit 1 if one conflicts or cannot be used."""
    with _errors():
        from nsfwtrain.data.store import import_folder

        value: Literal[0, 1] = 1 if label else 0
        done = import_folder(folder, store, value, link=link)
        typer.echo(f"added: {done.added:,}")
        typer.echo(f"already there: {done.present:,}")
        _list("already there under the other label, left as they are", done.conflicts)
        _list("unusable, left out", (f"{path}: {why}" for path, why in done.unusable))
        if done.skipped:
            kinds = ", ".join(kind.counted(n) for kind, n in done.skipped.most_common())
            typer.echo(f"skipped: {kinds}")
        if done.conflicts or done.unusable:
            raise typer.Exit(1)


@app.command()
def audit(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The object store.")],
    split_file: Annotated[
        Path | None, typer.Argument(metavar="SPLIT", help="CSV: objectId,value,type.")
    ] = None,
    distance: Annotated[
        int | None,
        typer.Option(
            "--distance",
            metavar="BITS",
            min=0,
            max=64,
            help="The most bits by which the 64-bit hashes of near-duplicates differ; default: 4.",
        ),
    ] = None,
) -> None:
    """Search for what would spoil a training run; exit 1 if there is a problem."""
    with _errors():
        from nsfwtrain.data.audit import NEAR, PROBLEMS
        from nsfwtrain.data.audit import audit as search

        found = search(store, split_file, distance=NEAR if distance is None else distance)
        for problem, heading in PROBLEMS.items():
            _list(heading, found.loc[found["problem"] == problem, "detail"])
        if not found.empty:
            raise typer.Exit(1)


@app.command()
def split(
    labels: Labels,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="CSV: objectId,value,type.")
    ],
    previous: Annotated[
        Path | None,
        typer.Option(
            "--previous",
            metavar="SPLIT",
            help="An earlier split; its evaluation sets are kept as far as the balance allows.",
        ),
    ] = None,
) -> None:
    """Split a label file into train, validation and test, by hash, and print the counts."""
    with _errors():
        from nsfwtrain.data.split import balance, moved
        from nsfwtrain.data.split import split as assign
        from nsfwtrain.data.tables import read_labels, read_split, write_table

        before = None if previous is None else read_split(previous)
        assigned = assign(read_labels(labels), before)
        write_table(output, assigned)
        counts = balance(assigned)
        for part, row in counts.iterrows():
            for value in row.index[row == 0]:
                typer.echo(
                    f"{PROGRAM}: {part} has no image of label {value}; a training needs some",
                    err=True,
                )
        counts.loc["total"] = counts.sum()
        counts["total"] = counts.sum(axis="columns")
        typer.echo(f"{'':10}{'label 0':>10}{'label 1':>10}{'total':>10}")
        for name, *numbers in counts.itertuples():
            typer.echo(f"{name:10}" + "".join(f"{n:>10,}" for n in numbers))
        if before is not None:
            typer.echo(f"rows that changed sides: {moved(assigned, before):,}")


@app.command()
def fit(
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="b0 to b7.")],
    store: Store,
    split_file: SplitOption,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder of the run.")],
    backbone: Backbone = None,
    mode: Mode = "features",
    epochs: Epochs = 10,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = 0.001,
    class_weight: ClassWeight = None,
    patience: Patience = None,
    seed: Seed = 0,
    mixed_precision: MixedPrecision = False,
    skip_bad: SkipBad = False,
    cache: Cache = None,
    resume: Resume = False,
) -> None:
    """Train one variant and evaluate it on the test split."""
    if mode not in {"features", "end-to-end"}:
        raise typer.BadParameter(f"--mode must be features or end-to-end, got {mode!r}")
    if class_weight not in {None, "balanced"}:
        raise typer.BadParameter(f"--class-weight must be balanced, got {class_weight!r}")
    with _errors(), silent_libraries():
        warnings.simplefilter("ignore")  # Keras warns of the format of model.h5
        from nsfwtrain.variants import by_name

        row = by_name(variant)
        from nsfwtrain.run.fit import fit as train
        from nsfwtrain.run.options import Options

        options = Options(
            mode="features" if mode == "features" else "end-to-end",
            epochs=epochs,
            batch_size=batch_size or row.batch_size,
            learning_rate=learning_rate,
            balanced=class_weight == "balanced",
            patience=patience,
            seed=seed,
            mixed_precision=mixed_precision,
            skip_bad=skip_bad,
        )
        facts = train(
            row,
            store,
            split_file,
            out,
            options,
            backbone=backbone,
            cache=cache or store / "cache",
            resume=resume,
            say=_say,
            progress=_progress,
        )
        metrics = facts["metrics"]
        typer.echo(
            f"test: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.4f} "
            f"({metrics['accuracy_95_low']:.4f} to {metrics['accuracy_95_high']:.4f}) on "
            f"{metrics['images']:,} images; the run is in {printable(str(out))}"
        )
        if facts["interrupted"]:
            raise typer.Exit(INTERRUPTED)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    store: Store,
    split_file: SplitOption,
    skip_bad: SkipBad = False,
    cache: Cache = None,
) -> None:
    """Evaluate a run again, on the test part of a split."""
    with _errors(), silent_libraries():
        from nsfwtrain.run.evaluate import evaluate_run

        metrics = evaluate_run(
            run_folder,
            store,
            split_file,
            cache=cache or store / "cache",
            skip_bad=skip_bad,
            say=_say,
            progress=_progress,
        )
        for name, value in metrics.items():
            shown = f"{value:.4f}" if isinstance(value, float) else value
            typer.echo(f"{name.replace('_', ' '):20} {shown}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sweep(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="RUNS", help="Folder of the runs, one for each variant."),
    ],
    variants: Annotated[
        str, typer.Option("--variants", metavar="LIST", help="For example b0-b7 or b0,b3.")
    ] = "b0-b7",
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", metavar="HANDLE", help="{variant} stands for the variant's name."
        ),
    ] = None,
) -> None:
    """Train the variants that have no finished run; all other options are those of fit."""
    with _errors():
        from nsfwtrain.run.sweep import parse_variants
        from nsfwtrain.run.sweep import sweep as run_all

        outcomes = run_all(parse_variants(variants), out, context.args, backbone=backbone)
        for name, outcome in outcomes.items():
            typer.echo(f"{name}: {outcome}")
        if "failed" in outcomes.values():
            raise typer.Exit(1)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of a sweep.")],
) -> None:
    """Compare the finished runs of a sweep: Markdown, HTML, CSV and plots."""
    with _errors(), silent_libraries():
        from nsfwtrain.report.comparison import write_report

        for path in write_report(folder):
            typer.echo(printable(str(path)))


@app.command()
def doctor(device: o.Device = "auto", format_: ReportFormat = Format.TEXT) -> None:
    """Check what TensorFlow can use on this machine; exit 1 if a check fails."""
    with _errors(), silent_libraries():
        from nsfwscan.inference.session import check_device
        from nsfwtrain.doctor import examine

        check_device(device)
        good = show(examine(device), format_)
    raise typer.Exit(0 if good else 1)


@app.command()
def link(
    split_file: Split,
    store: Store,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Created if it does not exist.")
    ],
) -> None:
    """Lay a split out as FOLDER/<type>/<label>/<object ID>, links into the store."""
    with _errors():
        from nsfwtrain.data.link import link_folders
        from nsfwtrain.data.tables import read_split

        count = link_folders(store, read_split(split_file), output)
        typer.echo(f"{count:,} links in {output}")
