"""The options of a run."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Mode = Literal["features", "end-to-end"]

Prevalence = float | Literal["balanced", "train"]
"""The share of label 1 that a score assumes: a number in (0, 1), 0.5, or that of the training."""


@dataclass(frozen=True, kw_only=True)
class Converged:
    """Logistic regression on standardised features, solved to convergence. It has no random step.

    Attributes
    ----------
    prevalence
        See `Prevalence`.
    """

    name: ClassVar[str] = "converged"

    prevalence: Prevalence = "balanced"


@dataclass(frozen=True, kw_only=True)
class Study:
    """Some epochs of Adam. The defaults are those of the published study.

    Attributes
    ----------
    balanced
        Weight the labels by the inverse of their share in the training part.
    patience
        Stop after this many epochs without a lower validation loss, and keep the best head. None:
        never stop early.
    """

    name: ClassVar[str] = "study"

    batch_size: int
    epochs: int = 10
    learning_rate: float = 0.001
    balanced: bool = False
    patience: int | None = None


Recipe = Converged | Study


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run.

    Attributes
    ----------
    recipe
        How the head learns.
    mode
        ``features``: the head learns from cached feature vectors. ``end-to-end``, of the recipe
        `Study` only: every epoch passes the pixels through the backbone.
    seed
        Determines the first weights and the order of the examples.
    mixed_precision
        Compute in float16 where that is safe, on a GPU that is faster with it.
    skip_bad
        Leave out images that cannot be used, instead of raising.
    """

    recipe: Recipe
    mode: Mode = "features"
    seed: int = 0
    mixed_precision: bool = False
    skip_bad: bool = False

    def facts(self) -> dict[str, Any]:
        """Return all options in one level, as ``run.json`` has them."""
        others = {name: value for name, value in vars(self).items() if name != "recipe"}
        return {"recipe": self.recipe.name, **others, **vars(self.recipe)}
