"""A short run of every parser; `make fuzz` runs for a given time."""

import random

import pytest
from fuzz.mutants import MUTATIONS
from fuzz.targets import TARGETS, corpus


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.slow
def test_any_input_is_accepted_or_refused(target: str) -> None:
    dice, sound = random.Random(target), corpus(target)
    assert all(TARGETS[target](data) for data in sound)
    for _ in range(150):
        data = dice.choice(sound)
        for mutate in dice.choices(MUTATIONS, k=dice.choice((1, 2, 8))):
            data = mutate(data, dice.choice(sound), dice) if len(data) > 1 else data
        assert TARGETS[target](data) in {True, False}
