from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from nsfwscan.reports.progress import no_progress
from nsfwtrain.data import examples
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.examples import Data
from nsfwtrain.data.tables import sha1s, split_frame, targets
from nsfwtrain.model.head import Weights, initial_head
from nsfwtrain.model.keras import tf_keras
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run import converged
from nsfwtrain.run.converged import Solved, compared_rows, solve_head
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.options import Converged, Study
from nsfwtrain.run.state import State
from nsfwtrain.run.study import train_head
from nsfwtrain.run.weights import label_weights
from nsfwtrain.variants import by_name

B0 = by_name("b0")


def make_data(
    root: Path,
    train: int = 800,
    validation: int = 100,
    test: int = 200,
    ones: float = 0.5,
    width: int = 200,
    sign: float = 0.006,
) -> Data:
    """Make features like a backbone's: positive and correlated, with a weak sign of the label."""
    rng = np.random.default_rng(0)
    count = train + validation + test
    labels = (rng.uniform(size=count) < ones).astype(int)
    labels[train:] = np.arange(count - train) % 2  # balanced, as a split makes them
    common = rng.normal(size=(count, 8)) @ rng.normal(size=(8, width))
    effect = sign * np.outer(labels - 0.5, rng.normal(size=width))
    features = 0.3 + 0.02 * common + effect + 0.02 * rng.normal(size=(count, width))
    parts = ["train"] * train + ["validation"] * validation + ["test"] * test
    names = [f"{value:040x}.png" for value in rng.permutation(count).tolist()]
    frame = split_frame(zip(names, labels.tolist(), parts, strict=True))
    with ArrayCache(root, {"kind": "features"}, (width,), np.float32) as arrays:
        arrays.add(sha1s(frame).tolist(), features.astype(np.float32))
    return examples.collect(frame, arrays)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("features"))


def as_split(data: Data) -> pd.DataFrame:
    return pd.concat([rows.assign(type=part) for part, rows in data.parts.items()])


def solve(data: Data, recipe: Converged | None = None, **more: int) -> Solved:
    rows = compared_rows(as_split(data))
    groups = pd.Series(np.arange(len(rows)), rows["objectId"])
    return solve_head(data, recipe or Converged(), groups, **more)


def scores(data: Data, head: Weights) -> NDArray[np.float32]:
    kernel, bias = head
    features = data.arrays.get(sha1s(data.parts["test"]).tolist())
    found: NDArray[np.float32] = 1 / (1 + np.exp(-(features @ kernel + bias)[:, 0]))
    return found


@pytest.mark.slow
def test_the_default_learns_what_the_study_does_not_on_a_small_collection(tmp_path: Path) -> None:
    data = make_data(tmp_path, width=B0.feature_dim)
    (tmp_path / "begun.json").write_text("{}")
    dense = tf_keras.layers.Dense(1, activation="sigmoid")
    dense.build((None, B0.feature_dim))
    study, _ = train_head(
        dense, dense.trainable_variables, State(initial_head(B0.feature_dim, 0)), data,
        Study(batch_size=B0.batch_size), 0, BatchSize(B0.batch_size, print),
        out=tmp_path, say=lambda _line: None, progress=no_progress,
    )  # fmt: skip
    truth = targets(data.parts["test"])
    assert evaluate(truth, scores(data, study))["accuracy"] < 0.7
    assert evaluate(truth, scores(data, solve(data).head))["accuracy"] > 0.95


@pytest.mark.slow
def test_the_facts_say_how_the_head_was_found(data: Data) -> None:
    solved = solve(data)
    facts = solved.facts
    assert facts["chosen_on"] == "5-fold cross-validation over 900 images"
    assert facts["learned_from"] == ["train", "validation"]
    assert facts["strength"] in solved.history["strength"].tolist()
    assert 0 < facts["loss"] < 0.2
    assert facts["iterations"] > 1
    assert facts["prevalence"] == 0.5
    assert solved.estimate is not None
    assert solved.estimate.images == 1100
    assert solved.estimate.accuracy > 0.95


def test_a_large_validation_part_chooses_the_strength(tmp_path: Path) -> None:
    data = make_data(tmp_path, train=400, validation=1000, test=300)
    solved = solve(data)
    assert solved.facts["chosen_on"] == "1,000 validation images"
    assert solved.facts["learned_from"] == ["train"]
    assert solved.estimate is None
    assert len(compared_rows(as_split(data))) == 0
    assert evaluate(targets(data.parts["test"]), scores(data, solved.head))["accuracy"] > 0.93


@pytest.mark.parametrize("size", [100, 1000])
def test_held_out_scores_are_as_good_as_those_of_the_test_part(tmp_path: Path, size: int) -> None:
    """Scores of images that a head has learned from would be better."""
    data = make_data(tmp_path, train=300, validation=size, test=600, ones=0.3, sign=0.002)
    solved = solve(data)
    held_out = solved.held_out
    parts = [data.parts[part] for part in ("train", "validation")]
    assert len(held_out) == (400 if size == 100 else 1000)
    assert set(held_out["objectId"]) <= set(pd.concat(parts)["objectId"])

    def losses(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> list[float]:
        right = np.where(labels > 0, scores, 1 - scores)
        return [float(-np.log(right[labels == value]).mean()) for value in (0, 1)]

    unseen = np.mean(losses(targets(held_out), held_out["score"].to_numpy()))
    kernel, bias = solved.head
    rows = data.parts["test"]
    test = np.mean(losses(targets(rows), scores(data, solved.head)))
    features = data.arrays.get(sha1s(parts[0]).tolist())
    known = np.mean(losses(targets(parts[0]), expit(features @ kernel + bias)[:, 0]))
    assert unseen == pytest.approx(test, rel=0.15)
    assert known < 0.8 * test


@pytest.mark.slow
def test_the_order_of_the_rows_does_not_matter(data: Data) -> None:
    shuffled = Data(
        data.arrays,
        {part: rows.sample(frac=1, random_state=1) for part, rows in data.parts.items()},
    )
    for ours, theirs in zip(solve(data).head, solve(shuffled).head, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.slow
def test_features_beyond_the_memory_give_the_head_of_all_rows(tmp_path: Path) -> None:
    """Half of the rows are sampled for the strength; the solution has all of them."""
    data = make_data(tmp_path)
    whole = solve(data)
    pieces = solve(data, in_memory=8 * 200 * 400)
    assert pieces.facts["chosen_on"] == "5-fold cross-validation over 400 images"
    learned = pd.concat([data.parts["train"], data.parts["validation"]])
    features = data.arrays.get(sha1s(learned).tolist())
    for solved in (whole, pieces):
        kernel, bias = solved.head
        found = 1 / (1 + np.exp(-(features @ kernel + bias)[:, 0]))
        weights = label_weights(targets(learned))
        # Without a penalty on the bias, the errors of all rows add up to nothing.
        assert np.average(found - targets(learned), weights=weights) == pytest.approx(0, abs=1e-5)
    a, b = scores(data, whole.head), scores(data, pieces.head)
    assert np.abs(a - b).mean() < 0.03


@pytest.mark.slow
def test_scores_follow_the_prevalence(tmp_path: Path) -> None:
    """The training part has 20 % of label 1; for equal frequencies the mean score is a half."""
    data = make_data(tmp_path, ones=0.2)
    learned = pd.concat([data.parts["train"], data.parts["validation"]])
    labels = targets(learned)
    features = data.arrays.get(sha1s(learned).tolist())
    balanced = solve(data)
    kernel, bias = balanced.head
    found = 1 / (1 + np.exp(-(features @ kernel + bias)[:, 0]))
    assert found[labels == 0].mean() + found[labels == 1].mean() == pytest.approx(1, abs=1e-4)
    share = float(targets(data.parts["train"]).mean())
    for recipe, prevalence in (
        (Converged(prevalence="train"), share),
        (Converged(prevalence=0.02), 0.02),
    ):
        solved = solve(data, recipe)
        assert solved.facts["prevalence"] == pytest.approx(prevalence)
        assert solved.head[0] == pytest.approx(kernel, abs=1e-6)
        shift = np.log(prevalence / (1 - prevalence))
        assert solved.head[1][0] - bias[0] == pytest.approx(shift, abs=1e-4)
        expected = expit(logit(balanced.held_out["score"].to_numpy(np.float64)) + shift)
        assert solved.held_out["score"].to_numpy() == pytest.approx(expected, abs=1e-5)
    assert share < 0.25


def test_a_label_too_rare_to_divide_is_learned_with_the_validation_part(tmp_path: Path) -> None:
    data = make_data(tmp_path, train=30, validation=20, test=20)
    rows = data.parts["train"]
    few = pd.concat([rows[rows["value"] == 0], rows[rows["value"] == 1].head(2)])
    data = Data(data.arrays, data.parts | {"train": few})
    numbers = compared_rows(as_split(data))
    same = pd.Series((numbers["value"] == 1).astype(int).to_numpy(), numbers["objectId"])
    solved = solve_head(data, Converged(), same)  # the two images are near-duplicates
    assert solved.facts["chosen_on"] == "20 validation images"
    assert solved.estimate is None
    assert np.isfinite(solved.head[0]).all()


def test_limits_are_those_of_the_documents() -> None:
    assert converged.IN_MEMORY // (8 * 1280) == 104_857
