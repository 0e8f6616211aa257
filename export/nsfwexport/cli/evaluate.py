"""The commands on model files: choose a threshold, compare several, and check one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from nsfwexport.cli import options as o
from nsfwexport.cli.messages import PROGRAM, errors, warn
from nsfwscan.cli.framework import show_progress
from nsfwscan.util.escape import printable
from nsfwscan.util.files import check_output, check_outputs, write_errors

if TYPE_CHECKING:
    from nsfwexport.calibrate import Choice
    from nsfwscan.dataset.labels import Part


def calibrate(
    model: o.Model,
    run_folder: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="RUN", help="The model's training run, for the images it held out."
        ),
    ] = None,
    store: o.Store = None,
    split: o.Split = None,
    part: o.PartOf = o.Parts.VALIDATION,
    labels: o.Labels = None,
    target_fpr: Annotated[
        float | None,
        typer.Option(
            "--target-fpr", metavar="SHARE", help="Flag at most this share of label 0; in (0, 1)."
        ),
    ] = None,
    target_recall: Annotated[
        float | None,
        typer.Option(
            "--target-recall", metavar="SHARE", help="Flag at least this share of label 1."
        ),
    ] = None,
    prevalence: Annotated[
        list[float] | None,
        typer.Option(
            "--prevalence",
            metavar="SHARE",
            help="Also print the precision if this share of all images has label 1; repeatable.",
        ),
    ] = None,
) -> None:
    """Choose a model's threshold on labelled images, and write it into its manifest."""
    if (target_fpr is None) == (target_recall is None):
        raise typer.BadParameter("choose one target: --target-fpr or --target-recall")
    target: Literal["fpr", "recall"] = "fpr" if target_recall is None else "recall"
    value = cast("float", target_fpr if target_recall is None else target_recall)
    for share in (value, *(prevalence or ())):
        if not 0 < share < 1:
            raise typer.BadParameter(f"a share must be between 0 and 1, got {share:g}")
    chosen = (run_folder, store, labels)
    if sum(one is not None for one in chosen) != 1 or (store is None) != (split is None):
        raise typer.BadParameter("choose labelled images: --run, --store and --split, or --labels")
    with errors():
        from nsfwexport import calibrate as calibration
        from nsfwexport import modelfile
        from nsfwscan import Classifier

        manifest = modelfile.read(model)[1]
        check_output(model)
        if run_folder is not None:
            labelled, where = calibration.held_out(manifest, run_folder), "its training, held out"
        else:
            if labels is None:
                calibration.check_unseen(manifest, part.value)
            listed, where = o.labelled_images(labels, store, split, part)
            classifier = Classifier.load(model)
            labelled = calibration.score(classifier, listed, show_progress(PROGRAM))
        old, point, notes = calibration.calibrate(model, labelled, target, value, where)
        typer.echo(f"threshold            {point.threshold} (was {old})")
        typer.echo(f"false-positive rate  {point.fpr}")
        typer.echo(f"recall               {point.recall}")
        for share in prevalence or ():
            called = printable(manifest.labels[1])
            typer.echo(f"if {share:.2%} of all files are {called}, {_precision(point, share)}")
        if manifest.cascade is not None:
            warn("with nsfwscan --fast, the threshold is that of the original: calibrate that too")
        for note in notes:
            warn(note)


def _precision(choice: "Choice", prevalence: float) -> str:
    precision = choice.point("", "2000").precision(prevalence)
    if precision is None:
        return "no file is flagged"
    return f"{precision:.1%} of the flagged files are"


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help=o.ANY_MODEL, parser=o.model_file),
    ],
    labels: o.Labels = None,
    store: o.Store = None,
    split: o.Split = None,
    part: o.PartOf = o.Parts.TEST,
    manifest: Annotated[
        list[str] | None,
        typer.Option(
            "--manifest",
            metavar="MODEL=FILE",
            help="Manifest of a MODEL that carries none, or a known name; repeatable.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="MODEL",
            parser=o.model_file,
            help="Show what each model newly flags, and newly leaves safe, against this one.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Also write a page, charts and tables here."
        ),
    ] = None,
) -> None:
    """Compare models on labelled images: size, speed, memory, quality, and where they differ."""
    if (labels is None) == (store is None) or (store is None) != (split is None):
        raise typer.BadParameter("choose labelled images: --labels, or --store and --split")
    manifests = dict(map(_pair, manifest or ()))
    with errors():
        from nsfwexport.evaluation import page, table
        from nsfwexport.evaluation.compare import compare as evaluate

        if output is not None:
            with write_errors(output):
                output.mkdir(parents=True, exist_ok=True)
            check_outputs(output, page.FILES, o.named(labels, split, *manifests.values()))
        listed, where = o.labelled_images(labels, store, split, part)
        learned: Part | None = part.value if labels is None else None
        evaluation = evaluate(
            models, listed, where, manifests=manifests,
            reference=reference, part=learned, progress=show_progress(PROGRAM),
        )  # fmt: skip
        typer.echo(table.text(evaluation))
        if output is not None:
            page.write(evaluation, output)


def _pair(text: str) -> tuple[Path, Path]:
    model, equals, manifest = text.rpartition("=")
    if not (model and equals and manifest):
        raise typer.BadParameter(f"--manifest must be MODEL=FILE, got {text!r}")
    return o.model_file(model), Path(manifest)


def check(model: o.AnyModel) -> None:
    """Check that a model file keeps the rules of this project; exit with 1 if it does not."""
    with errors():
        from nsfwexport import modelfile
        from nsfwexport.contract import graph_violations, violations
        from nsfwscan import Classifier

        classifier = Classifier.load(model, device="cpu")
        broken = violations(classifier)
        broken += graph_violations(modelfile.read_graph(model))
        for sentence in broken:
            typer.echo(printable(f"{model}: {sentence}"))
        if broken:
            raise typer.Exit(1)
        label = classifier.manifest.labels[1]
        typer.echo(printable(f"{model}: a valid, self-contained model file that scores {label}"))
