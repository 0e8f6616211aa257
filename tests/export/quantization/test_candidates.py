import numpy as np

from nsfwexport.comparison import Tolerance, compare
from nsfwexport.quantization.candidates import Candidate, Recipe, by_speed

EXPECTED = np.array([0.1, 0.9], np.float32)


def candidate(milliseconds: float, off: float) -> Candidate:
    comparison = compare(
        "tensors", "cpu", Tolerance(0.05, 0), 0.5, ["a", "b"], EXPECTED, EXPECTED - np.float32(off)
    )
    return Candidate(
        recipe=Recipe(form="QDQ", method="MinMax"), comparison=comparison,
        milliseconds=milliseconds, before=30, megabytes=1,
    )  # fmt: skip


def test_the_fastest_candidate_within_the_tolerance_comes_first() -> None:
    wrong, slow, fast = candidate(5, 0.06), candidate(20, 0.01), candidate(10, 0.04)
    assert by_speed([wrong, slow, fast]) == [fast, slow]
    assert fast.speedup == 3


def test_a_recipe_says_what_it_does() -> None:
    recipe = Recipe(form="QDQ", method="Entropy", in_float=("a", "b"))
    assert str(recipe) == "QDQ, Entropy, 2 layers in floats"
    assert str(Recipe(form="QOperator", method="MinMax")) == "QOperator, MinMax"
