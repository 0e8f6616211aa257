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
from nsfwscan.util.files import check_output
from nsfwtrain import options as t

PROGRAM = "nsfwtrain"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Train image classifiers on your own labelled collection.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; the entry point of the console script."""
    run(app, PROGRAM)


def _errors() -> AbstractContextManager[None]:
    """Turn errors into a sentence and an exit code, and name the extra of a missing package."""
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


def _warn(line: str) -> None:
    typer.echo(f"{PROGRAM}: {printable(line)}", err=True)


def _list(heading: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    typer.echo(f"{heading}: {len(lines):,}")
    for line in lines:
        typer.echo(f"  {printable(line)}")


@app.command()
def variants() -> None:
    """List the variants that can be trained, with the results of a published study."""
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
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A folder of images, or a list: CSV with a header."),
    ],
    store: t.Store,
    label: Annotated[
        str | None, t.option("--label LABEL", "Label of all images of a folder: 0, 1 or its name.")
    ] = None,
    by_folder: Annotated[
        bool, t.option("--by-folder", "The name of each subfolder is a label.")
    ] = False,
    labels: Annotated[
        str | None,
        t.option("--labels A,B", "Names of label 0 and of label 1, which a scan flags."),
    ] = None,
    path_column: Annotated[
        str | None, t.option("--path-column NAME", "Column of the paths in a list.")
    ] = None,
    label_column: Annotated[
        str | None, t.option("--label-column NAME", "Column of the labels in a list.")
    ] = None,
    link: Annotated[
        bool, t.option("--link", "Hard-link the files where possible, instead of copying.")
    ] = False,
) -> None:
    """Add labelled images to a store; exit 1 if an image conflicts or is unusable."""
    with _errors():
        from nsfwtrain.data.files import labelled_files
        from nsfwtrain.data.names import choose_names, parse_names, write_names
        from nsfwtrain.data.store import check_tables, import_files

        names = choose_names(store, None if labels is None else parse_names(labels))
        files = labelled_files(
            source,
            store,
            names,
            label=label,
            by_folder=by_folder,
            path_column=path_column,
            label_column=label_column,
        )
        check_tables(store, source)
        if labels is not None and names is not None:
            write_names(store, names)
        done = import_files(files, store, link=link)
        typer.echo(f"added: {done.added:,}")
        typer.echo(f"already there: {done.present:,}")
        conflicts = (f"{path}: {why}" for path, why in done.conflicts)
        _list("already there under the other label, left as they are", conflicts)
        _list("unusable, left out", (f"{path}: {why}" for path, why in done.unusable))
        if done.skipped:
            kinds = ", ".join(kind.counted(n) for kind, n in done.skipped.most_common())
            typer.echo(f"skipped: {kinds}")
        if not done.images:
            _warn(f"{source} has no images")
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
        t.option(
            "--distance BITS",
            "Largest difference between the 64-bit hashes of near-duplicates; default: 4.",
            min=0,
            max=64,
        ),
    ] = None,
) -> None:
    """Report problems that would spoil a training run; exit 1 if there are any."""
    with _errors():
        from nsfwtrain.data.audit import PROBLEMS
        from nsfwtrain.data.audit import audit as search
        from nsfwtrain.data.similarity import NEAR

        found = search(store, split_file, distance=NEAR if distance is None else distance)
        for problem, heading in PROBLEMS.items():
            _list(heading, found.loc[found["problem"] == problem, "detail"])
        if not found.empty:
            raise typer.Exit(1)


@app.command()
def split(
    labels: t.Labels,
    output: Annotated[Path, t.option("-o --output FILE", "CSV: objectId,value,type.")],
    previous: Annotated[
        Path | None,
        t.option(
            "--previous SPLIT",
            "An earlier split; images stay in its test and validation parts if possible.",
        ),
    ] = None,
    order: Annotated[
        Literal["file", "hash"],
        t.option("--order file|hash", "Order of the rows; hash makes the parts a fair sample."),
    ] = "file",
) -> None:
    """Split a label file by hash into train, validation and test, and print the counts."""
    with _errors():
        from nsfwtrain.data.split import balance, check_parts, moved
        from nsfwtrain.data.split import split as assign
        from nsfwtrain.data.tables import by_hash, is_by_hash, read_labels, read_split, write_table

        check_output(output, [labels] if previous is None else [labels, previous])
        before = None if previous is None else read_split(previous)
        rows = read_labels(labels)
        if order == "hash":
            rows = by_hash(rows)
        elif not is_by_hash(rows):
            _warn(
                f"{labels} is not in hash order; validation and test may not be a fair sample if "
                "its rows keep the order of files; split with --order hash"
            )
        assigned = assign(rows, before)
        check_parts(assigned)
        write_table(output, assigned)
        counts = balance(assigned)
        counts.loc["total"] = counts.sum()
        counts["total"] = counts.sum(axis="columns")
        typer.echo(f"{'':10}{'label 0':>10}{'label 1':>10}{'total':>10}")
        for name, *numbers in counts.itertuples():
            typer.echo(f"{name:10}" + "".join(f"{n:>10,}" for n in numbers))
        if before is not None:
            typer.echo(f"rows that changed their part: {moved(assigned, before):,}")


@app.command()
def fit(
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="b0 to b7.")],
    store: t.Store,
    split_file: t.SplitOption,
    out: Annotated[Path, t.option("--out RUN", "Folder of the run.")],
    backbone: t.Backbone = None,
    recipe: t.Recipe = t.RecipeName.CONVERGED,
    prevalence: t.Prevalence = None,
    mode: t.Mode = t.ModeName.FEATURES,
    epochs: t.Epochs = None,
    batch_size: t.BatchSize = None,
    learning_rate: t.LearningRate = None,
    class_weight: t.ClassWeight = None,
    patience: t.Patience = None,
    seed: t.Seed = 0,
    mixed_precision: t.MixedPrecision = False,
    skip_bad: t.SkipBad = False,
    cache: t.Cache = None,
    resume: t.Resume = False,
) -> None:
    """Train one variant and evaluate it on the test part of the split."""
    study = {
        "--epochs": epochs, "--batch-size": batch_size, "--learning-rate": learning_rate,
        "--class-weight": class_weight, "--patience": patience,
        "--mode end-to-end": None if mode is t.ModeName.FEATURES else mode,
    }  # fmt: skip
    t.check_recipe(recipe, study, {"--prevalence": prevalence})
    with _errors(), silent_libraries():
        warnings.simplefilter("ignore")  # Keras warns about the format of model.h5
        from nsfwtrain.run import options
        from nsfwtrain.variants import by_name

        row = by_name(variant)
        chosen: options.Recipe = options.Converged(prevalence=t.parse_prevalence(prevalence))
        if recipe is t.RecipeName.STUDY:
            chosen = options.Study(
                batch_size=batch_size or row.batch_size,
                epochs=epochs or options.Study.epochs,
                learning_rate=learning_rate or options.Study.learning_rate,
                balanced=class_weight is not None,
                patience=patience,
            )
        from nsfwtrain.data.split import read_usable_split

        read_usable_split(split_file)  # its errors come before TensorFlow's import, which is slow
        from nsfwtrain.run.fit import fit as train
        from nsfwtrain.run.verdict import summary

        facts = train(
            row,
            store,
            split_file,
            out,
            options.Options(
                recipe=chosen,
                mode=mode.value,
                seed=seed,
                mixed_precision=mixed_precision,
                skip_bad=skip_bad,
            ),
            backbone=backbone,
            cache=cache or store / "cache",
            resume=resume,
            say=_say,
            progress=_progress,
        )
        for line in summary(facts):
            _say(line)
        _say(f"the run is in {out}")
        if facts["interrupted"]:
            raise typer.Exit(INTERRUPTED)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    store: t.Store,
    split_file: t.SplitOption,
    out: Annotated[
        Path | None,
        t.option("--out FOLDER", "Default: a folder for this split in RUN/evaluations."),
    ] = None,
    skip_bad: t.SkipBad = False,
    cache: t.Cache = None,
) -> None:
    """Evaluate a run on the test part of any split."""
    with _errors(), silent_libraries():
        from nsfwtrain.run.evaluate import evaluate_run
        from nsfwtrain.run.options import Study
        from nsfwtrain.run.results import read_facts
        from nsfwtrain.run.verdict import verdict

        folder, metrics = evaluate_run(
            run_folder,
            store,
            split_file,
            out,
            cache=cache or store / "cache",
            skip_bad=skip_bad,
            say=_say,
            progress=_progress,
        )
        for name, value in metrics.items():
            shown = f"{value:.4f}" if isinstance(value, float) else value
            typer.echo(f"{name.replace('_', ' '):20} {shown}")
        recipe = read_facts(run_folder).get("options", {}).get("recipe", Study.name)
        _say(verdict(metrics, None, recipe))
        _say(f"the evaluation is in {folder}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sweep(
    context: typer.Context,
    out: Annotated[
        Path,
        t.option("--out RUNS", "Folder of the runs; each variant has one."),
    ],
    variants: Annotated[str, t.option("--variants LIST", "For example b0-b7 or b0,b3.")] = "b0-b7",
    recipe: t.Recipe = t.RecipeName.CONVERGED,
    backbone: Annotated[
        str | None,
        t.option("--backbone HANDLE", "{variant} stands for the variant's name."),
    ] = None,
) -> None:
    """Train the variants that have no finished run; other options are passed to fit."""
    with _errors():
        from nsfwtrain.run.sweep import parse_variants
        from nsfwtrain.run.sweep import sweep as run_all

        chosen = parse_variants(variants)
        outcomes = run_all(chosen, out, context.args, recipe=recipe.value, backbone=backbone)
        for name, outcome in outcomes.items():
            typer.echo(f"{name}: {outcome}")
        if "failed" in outcomes.values():
            raise typer.Exit(1)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of runs.")],
) -> None:
    """Compare the finished runs of a folder in Markdown, HTML, CSV and charts."""
    with _errors(), silent_libraries():
        from nsfwtrain.report.comparison import write_report

        for path in write_report(folder, say=_warn):
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
    split_file: t.Split,
    store: t.Store,
    output: Annotated[Path, t.option("-o --output FOLDER", "Created if it does not exist.")],
) -> None:
    """Create links into the store, FOLDER/<type>/<label>/<object ID>, from a split."""
    with _errors():
        from nsfwtrain.data.link import link_folders
        from nsfwtrain.data.tables import read_split

        count = link_folders(store, read_split(split_file), output)
        typer.echo(f"{count:,} links in {output}")
