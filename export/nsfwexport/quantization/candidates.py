"""The ways to convert a graph to integers, and the choice between them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from nsfwexport.comparison import Comparison

Form = Literal["QOperator", "QDQ"]
Method = Literal["MinMax", "Percentile", "Entropy"]

FORMS: Sequence[Form] = ("QOperator", "QDQ")
METHODS: Sequence[Method] = ("MinMax", "Percentile", "Entropy")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a graph is converted.

    Attributes
    ----------
    form
        ``QOperator`` has operators for integers. ``QDQ`` has conversions around those for floats,
        which the engine fuses when it loads the file.
    method
        How the range of each activation is chosen from those seen.
    in_float
        The names of layers that stay in floats, besides the last one.
    """

    form: Form
    method: Method
    in_float: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return such as ``QDQ, Entropy, 3 layers in floats``."""
        count = len(self.in_float)
        more = f", {count} layer{'s' * (count != 1)} in floats" if count else ""
        return f"{self.form}, {self.method}{more}"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A converted graph, as measured.

    Attributes
    ----------
    recipe
        How it was made.
    comparison
        Its scores against those of the original.
    milliseconds, before
        Median time of an image on one thread, of it and of the original.
    megabytes
        Size of its file.
    """

    recipe: Recipe
    comparison: Comparison
    milliseconds: float
    before: float
    megabytes: float

    @property
    def speedup(self) -> float:
        """How many times as fast as the original it is."""
        return self.before / self.milliseconds


def by_speed(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that are within the tolerance, the fastest first."""
    holding = (candidate for candidate in candidates if candidate.comparison.holds)
    return sorted(holding, key=lambda candidate: candidate.milliseconds)
