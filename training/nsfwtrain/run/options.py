"""The options of a run."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["features", "end-to-end"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run. The defaults are those of the published study.

    Attributes
    ----------
    mode
        ``features``: the head learns from cached feature vectors. ``end-to-end``: every epoch
        passes the pixels through the backbone.
    balanced
        Weight the labels by the inverse of their share in the training part.
    patience
        Stop after this many epochs without a lower validation loss, and keep the best head. None:
        never stop early.
    seed
        Determines the first weights and the order of the examples.
    mixed_precision
        Compute in float16 where that is safe, on a GPU that is faster with it.
    skip_bad
        Leave out images that cannot be used, instead of raising.
    """

    mode: Mode = "features"
    epochs: int = 10
    batch_size: int
    learning_rate: float = 0.001
    balanced: bool = False
    patience: int | None = None
    seed: int = 0
    mixed_precision: bool = False
    skip_bad: bool = False
