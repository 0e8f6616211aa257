import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from nsfwtrain.model.logistic import (
    Array,
    Axes,
    Block,
    Standardisation,
    cross_entropy,
    mean_loss,
    solve,
)


def problem(rows: int, width: int, seed: int = 0) -> tuple[Array, np.ndarray]:
    """Make standardised inputs of correlated features, and labels that depend on some of them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width))
    positive = features[:, 0] + features[:, -1] + rng.normal(size=rows) > 0.3
    return Standardisation.of(features).apply(features), positive


def solved(inputs: Array, positive: np.ndarray, weights: Array, strength: float) -> Array:
    block = Block(inputs, positive, weights)
    start = np.zeros((inputs.shape[1], weights.shape[1]))
    return solve(lambda: [block], strength, Axes.of(inputs), start=start).coefficients


@pytest.mark.parametrize(("rows", "width"), [(300, 20), (40, 90), (60, 60)])
@pytest.mark.parametrize("strength", [0.1, 10.0, 1000.0])
def test_the_solution_is_that_of_scikit_learn(rows: int, width: int, strength: float) -> None:
    inputs, positive = problem(rows, width)
    weights = np.random.default_rng(1).uniform(0.2, 2, (rows, 1))
    theirs = LogisticRegression(C=1 / strength, tol=1e-12, max_iter=100_000)
    theirs.fit(inputs[:, :-1], positive, weights[:, 0])
    ours = solved(inputs, positive, weights, strength)
    expected = np.append(theirs.coef_[0], theirs.intercept_[0])
    assert ours[:, 0] == pytest.approx(expected, abs=2e-5)


@given(st.integers(5, 40), st.integers(1, 30), st.floats(0.05, 1e4), st.integers(0, 99))
def test_the_gradient_of_a_solution_is_zero(
    rows: int, width: int, strength: float, seed: int
) -> None:
    inputs, positive = problem(rows, width, seed)
    positive[:2] = [False, True]
    found = solved(inputs, positive, np.ones((rows, 1)), strength)[:, 0]
    gradient = inputs.T @ (expit(inputs @ found) - positive) + strength * np.append(found[:-1], 0)
    assert np.abs(gradient).max() < 1e-4 * rows


def test_problems_solved_together_are_solved_as_if_alone() -> None:
    inputs, positive = problem(80, 100)
    weights = np.random.default_rng(2).integers(0, 2, (80, 3)).astype(np.float64)
    together = solved(inputs, positive, weights, 5.0)
    for i in range(3):
        alone = solved(inputs, positive, weights[:, i : i + 1], 5.0)
        assert together[:, i] == pytest.approx(alone[:, 0], abs=1e-6)


def test_rows_in_several_blocks_give_the_same_solution() -> None:
    inputs, positive = problem(200, 12)
    weights = np.ones((200, 1))
    pieces = [
        Block(inputs[i : i + 64], positive[i : i + 64], weights[i : i + 64])
        for i in range(0, 200, 64)
    ]
    # The axes of a sample change the steps, not the solution.
    axes = Axes.of(inputs[:50])
    found = solve(lambda: pieces, 2.0, axes, start=np.zeros((13, 1))).coefficients
    assert found == pytest.approx(solved(inputs, positive, weights, 2.0), abs=1e-6)
    assert mean_loss(lambda: pieces, found) == pytest.approx(
        float(cross_entropy(inputs @ found, positive).mean())
    )


def test_a_folded_head_gives_the_margins_on_the_features_themselves() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(5, 0.01, (50, 8)).astype(np.float32)
    features[:, 2] = 0.125  # constant
    features[:, 5] = 0
    scaling = Standardisation.of(features)
    inputs = scaling.apply(features)
    assert inputs[:, [2, 5]].tolist() == np.zeros((50, 2)).tolist()
    assert inputs[:, 0].std() == pytest.approx(1)
    coefficients = rng.normal(size=9)
    kernel, bias = scaling.fold(coefficients)
    assert (kernel.shape, bias.shape) == ((8, 1), (1,))
    assert kernel.dtype == bias.dtype == np.float32
    assert kernel[[2, 5], 0].tolist() == [0, 0]
    assert (features @ kernel + bias)[:, 0] == pytest.approx(inputs @ coefficients, abs=0.01)
