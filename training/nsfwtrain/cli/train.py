"""The commands that train: fit one variant, sweep over several."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli.framework import show_progress
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.cli.termination import INTERRUPTED
from nsfwtrain.cli import options as t
from nsfwtrain.cli.messages import PROGRAM, errors, say


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
    with errors(), silent_libraries():
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
            say=say,
            progress=show_progress(PROGRAM),
        )
        for line in summary(facts):
            say(line)
        say(f"the run is in {out}")
        if facts["interrupted"]:
            raise typer.Exit(INTERRUPTED)


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
    with errors():
        from nsfwtrain.run.sweep import parse_variants
        from nsfwtrain.run.sweep import sweep as run_all

        chosen = parse_variants(variants)
        outcomes = run_all(chosen, out, context.args, recipe=recipe.value, backbone=backbone)
        for name, outcome in outcomes.items():
            typer.echo(f"{name}: {outcome}")
        if "failed" in outcomes.values():
            raise typer.Exit(1)
