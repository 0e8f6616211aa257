"""The options that the commands of ``nsfwtrain`` share, and the values that they select."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


class RecipeName(StrEnum):
    """How the head learns."""

    CONVERGED = "converged"
    STUDY = "study"


class ModeName(StrEnum):
    """What the head learns from."""

    FEATURES = "features"
    END_TO_END = "end-to-end"


def option(names: str, help: str, **more: Any) -> Any:  # noqa: A002 - typer's word
    """Declare an option by its flags and, except for a switch, the name of its value."""
    words = names.split()
    flags = [word for word in words if word.startswith("-")]
    metavar = None if len(flags) == len(words) else words[-1]
    return typer.Option(*flags, metavar=metavar, help=help, **more)


Store = Annotated[Path, option("--store STORE", "The object store.")]
Labels = Annotated[Path, typer.Argument(metavar="LABELS", help="CSV: objectId,value.")]
Split = Annotated[Path, typer.Argument(metavar="SPLIT", help="CSV: objectId,value,type.")]
SplitOption = Annotated[Path, option("--split SPLIT", "The split file.")]
SkipBad = Annotated[bool, option("--skip-bad", "Leave out images that cannot be used.")]
Cache = Annotated[
    Path | None, option("--cache FOLDER", "Folder of the caches; default: STORE/cache.")
]
Backbone = Annotated[
    str | None,
    option(
        "--backbone HANDLE",
        "A SavedModel folder or a hub handle; default: the variant's handle.",
    ),
]
Recipe = Annotated[
    RecipeName,
    option("--recipe RECIPE", "converged solves for the head; study trains as published."),
]
Prevalence = Annotated[
    str | None,
    option(
        "--prevalence SHARE",
        "Share of label 1 that the scores assume: balanced (default), train, or a number.",
    ),
]
Mode = Annotated[
    ModeName,
    option("--mode MODE", "study: end-to-end passes the pixels through the backbone every epoch."),
]
Epochs = Annotated[int | None, option("--epochs N", "study: epochs; default: 10.", min=1)]
BatchSize = Annotated[
    int | None, option("--batch-size N", "study: images in a step; default: the variant's.", min=1)
]
LearningRate = Annotated[
    float | None,
    option(
        "--learning-rate RATE", "study: Adam's learning rate; default: 0.001.", min=1e-9, max=1e3
    ),
]
ClassWeight = Annotated[
    Literal["balanced"] | None,
    option("--class-weight balanced", "study: give both labels the same weight."),
]
Patience = Annotated[
    int | None,
    option(
        "--patience N",
        "study: stop after N epochs without a lower validation loss, and keep the best.",
        min=1,
    ),
]
Seed = Annotated[
    int, option("--seed N", "study: seed of the first weights and of the image order.", min=0)
]
MixedPrecision = Annotated[
    bool, option("--mixed-precision", "Compute in float16 if that is faster on the GPU.")
]
Resume = Annotated[bool, option("--resume", "Continue an interrupted run.")]


def check_recipe(
    recipe: RecipeName, study: Mapping[str, Any], converged: Mapping[str, Any]
) -> None:
    """Check that the options that were given belong to the recipe.

    Parameters
    ----------
    study, converged
        The options of either recipe by flag; None is not given.

    Raises
    ------
    typer.BadParameter
        If an option belongs to the other recipe.
    """
    foreign, other = study, RecipeName.STUDY
    if recipe is RecipeName.STUDY:
        foreign, other = converged, RecipeName.CONVERGED
    given = [flag for flag, value in foreign.items() if value is not None]
    if given:
        verb = "belongs" if len(given) == 1 else "belong"
        raise typer.BadParameter(
            f"{', '.join(given)} {verb} to --recipe {other}; omit {' and '.join(given)}, or choose "
            "that recipe"
        )


def parse_prevalence(text: str | None) -> 'float | Literal["balanced", "train"]':
    """Return the value of ``--prevalence``.

    Raises
    ------
    typer.BadParameter
        If it is neither balanced, nor train, nor a number between 0 and 1.
    """
    if text is None or text == "balanced":
        return "balanced"
    if text == "train":
        return "train"
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share < 1:
        raise typer.BadParameter(
            f"--prevalence must be balanced, train, or a number between 0 and 1, got {text!r}"
        )
    return share
