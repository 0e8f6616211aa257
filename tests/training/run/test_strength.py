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


def test_the_strength_with_the_lowest_loss_on_other_rows_is_chosen() -> None:
    choice, inputs = chosen(400, noise=1)
    history = choice.history
    assert history["strength"].tolist() == STRENGTHS[: len(history)].tolist()
    best = history.iloc[history["val_loss"].argmin()]
    assert choice.strength == best["strength"]
    assert len(history) < len(STRENGTHS)  # it stops where the loss rises
    assert history["val_loss"].iloc[-3:].min() > best["val_loss"]
    assert history["loss"].is_monotonic_decreasing
    assert best["val_loss"] < np.log(2)
    assert choice.coefficients.shape == (inputs.shape[1], 1)


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
