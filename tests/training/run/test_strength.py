import numpy as np
import pytest

from nsfwtrain.model.logistic import Array, Axes, Standardisation
from nsfwtrain.run.strength import STRENGTHS, Choice, choose_strength


def chosen(rows: int, noise: float) -> tuple[Choice, Array]:
    """Choose on features of which one decides the label, and half of the rows are held out."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, 60))
    labels = (features[:, 0] + noise * rng.normal(size=rows) > 0).astype(np.float32)
    inputs = Standardisation.of(features).apply(features)
    held_out = np.arange(rows)[:, np.newaxis] % 2 == np.arange(2)
    return choose_strength(inputs, labels, np.ones(rows), held_out, Axes.of(inputs)), inputs


def test_of_the_most_accurate_strengths_the_one_with_the_lowest_loss_is_chosen() -> None:
    choice, inputs = chosen(400, noise=1)
    history = choice.history
    assert history["strength"].tolist() == STRENGTHS[: len(history)].tolist()
    assert len(history) < len(STRENGTHS)  # it stops where the loss rises
    assert history["val_loss"].argmin() == len(history) - 4
    (row,) = history.index[history["chosen"] == 1]
    assert (choice.strength, choice.scale) == tuple(history.loc[row, ["strength", "scale"]])
    best = history["val_accuracy"].max()
    limit = best - 0.25 * np.sqrt(best * (1 - best) / 400)
    assert history.loc[row, "val_accuracy"] >= limit
    better = history[history["val_loss"] < history.loc[row, "val_loss"]]
    assert (better["val_accuracy"] < limit).all()
    assert choice.coefficients.shape == (inputs.shape[1], 1)


def test_solutions_that_are_too_sure_are_scaled_down() -> None:
    choice, _ = chosen(60, noise=0.5)
    rng = np.random.default_rng(0)  # as in `chosen`
    truth = rng.normal(size=(60, 60))[:, 0] + 0.5 * rng.normal(size=60) > 0
    history = choice.history
    assert history["scale"].between(0.02, 1).all()
    assert history["scale"].iloc[-1] < 0.5  # the weakest penalty separates the rows
    losses = np.logaddexp(0, np.where(truth, -choice.margins, choice.margins))
    assert losses.mean() == pytest.approx(history.loc[history["chosen"] == 1, "val_loss"].item())
    for factor in (0.9, 1.1):
        other = np.logaddexp(0, factor * np.where(truth, -choice.margins, choice.margins))
        assert other.mean() > losses.mean()


def test_margins_are_by_the_problem_that_holds_a_row_out() -> None:
    """Two problems learn opposite labels from the same rows; the last row is never held out."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(101, 1))
    sides = np.arange(101) % 2
    labels = ((features[:, 0] > 0) ^ (sides == 1)).astype(np.float32)
    inputs = Standardisation.of(features).apply(features)
    held_out = sides[:, np.newaxis] == np.arange(2)
    held_out[-1] = False
    choice = choose_strength(inputs, labels, np.ones(101), held_out, Axes.of(inputs), [1.0])
    assert np.isnan(choice.margins[-1])
    assert (((choice.margins > 0) == (labels == 0))[:-1]).mean() > 0.95


def test_noise_needs_a_stronger_penalty() -> None:
    assert chosen(400, noise=3)[0].strength > chosen(400, noise=0.1)[0].strength


def test_labels_that_nothing_decides_get_the_strongest_penalty() -> None:
    choice, _ = chosen(400, noise=1e9)
    assert choice.strength >= 1000
    assert choice.history["val_loss"].min() == pytest.approx(np.log(2), abs=0.02)
