"""The commands that make a collection and its split: import, audit, split, link."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from nsfwscan.cli.framework import show_progress
from nsfwscan.util.escape import printable
from nsfwscan.util.files import check_output
from nsfwtrain.cli import options as t
from nsfwtrain.cli.messages import PROGRAM, errors, print_list, say, warn


def import_(
    store: t.Store,
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of images, or a list: CSV with a header. With --decisions, the folder "
            "that images were moved to.",
            show_default=False,
        ),
    ] = None,
    decisions: Annotated[
        Path | None,
        t.option("--decisions FILE", "The decisions.json of a review: its images and labels."),
    ] = None,
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
    relabel: Annotated[
        bool,
        t.option("--relabel", "Change the label of images that are there under the other one."),
    ] = False,
    link: Annotated[
        bool, t.option("--link", "Hard-link the files where possible, instead of copying.")
    ] = False,
) -> None:
    """Add labelled images to a store; exit 1 if an image conflicts or is unusable."""
    own = (label, labels, path_column, label_column, by_folder or None)
    if decisions is not None and any(one is not None for one in own):
        raise typer.BadParameter("--decisions says the labels; leave the other options out")
    if decisions is None and source is None:
        raise typer.BadParameter("give a folder, a list, or --decisions")
    with errors():
        from nsfwtrain.data.decided import decided_files
        from nsfwtrain.data.files import Labelled, labelled_files
        from nsfwtrain.data.names import choose_names, parse_names, read_names
        from nsfwtrain.data.store import check_tables, import_files

        names = choose_names(store, None if labels is None else parse_names(labels))
        files: Iterator[Labelled]
        total: Any
        if decisions is not None:
            files, total = decided_files(decisions, source)
        else:
            find = partial(
                labelled_files, cast("Path", source), store, names, label=label,
                by_folder=by_folder, path_column=path_column, label_column=label_column,
            )  # fmt: skip
            files, total = find(), find
        check_tables(store, decisions or cast("Path", source))
        done = import_files(
            files, store, link=link, relabel=relabel, names=None if labels is None else names,
            total=total, progress=show_progress(PROGRAM),
        )  # fmt: skip
        typer.echo(f"added: {done.added:,}")
        for value, count in sorted(done.new.items()):
            typer.echo(f"  label {value} ({printable(read_names(store)[value])}): {count:,}")
        typer.echo(f"already there: {done.present:,}")
        conflicts = (f"{path}: {why}" for path, why in done.conflicts)
        what = "relabelled" if relabel else "left as they are"
        print_list(f"already there under the other label, {what}", conflicts)
        if done.conflicts and not relabel:
            say("  decide which label is right; --relabel takes the new ones")
        print_list("unusable, left out", (f"{path}: {why}" for path, why in done.unusable))
        if done.skipped:
            kinds = ", ".join(kind.counted(n) for kind, n in done.skipped.most_common())
            typer.echo(f"skipped: {kinds}")
        if not done.images:
            warn(f"{decisions or source} has no images")
        if len(done.conflicts) > done.relabelled or done.unusable:
            raise typer.Exit(1)


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
    with errors():
        from nsfwscan.decoding.similarity import NEAR
        from nsfwtrain.data.audit import ADVICE, PROBLEMS
        from nsfwtrain.data.audit import audit as search
        from nsfwtrain.data.store import LABEL_FILE

        found = search(
            store,
            split_file,
            distance=NEAR if distance is None else distance,
            progress=show_progress(PROGRAM),
        )
        for problem, heading in PROBLEMS.items():
            details = found.loc[found["problem"] == problem, "detail"]
            print_list(heading, details)
            if len(details) and problem in ADVICE:
                say(f"  {ADVICE[problem].format(labels=store / LABEL_FILE)}")
        if not found.empty:
            raise typer.Exit(1)


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
    with errors():
        from nsfwtrain.data.split import balance, check_parts, moved
        from nsfwtrain.data.split import split as assign
        from nsfwtrain.data.tables import by_hash, is_by_hash, read_labels, read_split, write_table

        check_output(output, [labels] if previous is None else [labels, previous])
        before = None if previous is None else read_split(previous)
        rows = read_labels(labels)
        if order == "hash":
            rows = by_hash(rows)
        elif not is_by_hash(rows):
            warn(
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


def link(
    split_file: t.Split,
    store: t.Store,
    output: Annotated[Path, t.option("-o --output FOLDER", "Created if it does not exist.")],
) -> None:
    """Create links into the store, FOLDER/<type>/<label>/<object ID>, from a split."""
    with errors():
        from nsfwtrain.data.link import link_folders
        from nsfwtrain.data.tables import read_split

        count = link_folders(store, read_split(split_file), output)
        typer.echo(f"{count:,} links in {output}")
