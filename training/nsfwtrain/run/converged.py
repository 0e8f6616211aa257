"""The converged recipe: choose the strength of the penalty, then solve for the head.

A large validation part chooses the strength, which takes one path of solutions. A small one would
choose by luck, so the training part is cross-validated instead. In both cases the head learns from
the training part alone: the validation part stays unseen for the choice of a threshold.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nsfwscan.dataset.labels import PARTS
from nsfwtrain.data.examples import Data
from nsfwtrain.data.tables import by_hash, sha1s, targets
from nsfwtrain.model import logistic
from nsfwtrain.model.head import Weights
from nsfwtrain.model.logistic import Array, Axes, Block, Standardisation
from nsfwtrain.run.options import Converged
from nsfwtrain.run.resampling import Estimate, estimate, folds
from nsfwtrain.run.strength import Choice, choose_strength
from nsfwtrain.run.weights import assume, class_weights, label_weights, share

LARGE_VALIDATION = 1000
"""The least number of validation images that choose the strength on their own."""

SMALL_TEST = 300
"""A smaller test part gets a cross-validated estimate beside its own metrics."""

COMPARED = 20_000
"""At most so many images are cross-validated, and searched for near-duplicates."""

IN_MEMORY = 1 << 30
"""Bytes of standardised features in memory: 104,000 images of B0."""

_BLOCK = 4096  # rows read at once


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A solved head.

    Attributes
    ----------
    head
        Its weights, on features as the backbone gives them.
    history
        See `nsfwtrain.run.strength.Choice`.
    facts
        ``strength`` and ``chosen_on``, ``iterations`` and ``loss`` of the solution (the loss of the
        training part if both labels had the same weight), ``prevalence``, ``seconds``.
    estimate
        Cross-validated over all images; None if the test part is large, or a label too rare.
    """

    head: Weights
    history: pd.DataFrame
    facts: dict[str, Any]
    estimate: Estimate | None


def compared_rows(split: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are cross-validated, whose near-duplicates must therefore be known."""
    counts = split["type"].value_counts()
    if counts["test"] < SMALL_TEST and len(split) <= COMPARED:
        return by_hash(split)
    if counts["validation"] < LARGE_VALIDATION:
        return by_hash(split[split["type"] == "train"]).head(COMPARED)
    return split.head(0)


def solve_head(
    data: Data, recipe: Converged, groups: pd.Series, in_memory: int = IN_MEMORY
) -> Solved:
    """Solve for the head on the features of the training part.

    Parameters
    ----------
    groups
        A number from 0 for each object ID of `compared_rows`. Near-duplicates have the same.
    in_memory
        Bytes of standardised features to keep in memory. If the training part is larger, a sample
        of this size chooses the strength, and each step of the solution reads the cache again.
    """
    # The speed of memory limits the solver. Further threads do not help, and where other programs
    # use the cores they make it twenty times slower.
    with threadpool_limits(1, user_api="blas"):
        return _solve_head(data, recipe, groups, in_memory)


def _solve_head(data: Data, recipe: Converged, groups: pd.Series, in_memory: int) -> Solved:
    started = time.perf_counter()
    train = data.parts["train"]
    labels = targets(train)
    prevalence = share(recipe.prevalence, labels)
    sample = by_hash(train).head(in_memory // (8 * data.arrays.shape[0]))
    features = _features(data, sample)
    scaling = Standardisation.of(features)
    inputs = scaling.apply(features)
    del features
    axes = Axes.of(inputs)
    choice, chosen_on = _choose(data, sample, inputs, axes, scaling, groups)

    def blocks() -> Iterator[Block]:
        """Yield the training part: from memory, or from the cache if it is larger than that."""
        zero, one = class_weights(labels)
        if len(sample) == len(train):
            parts: Iterable[tuple[Array, NDArray[np.float32]]] = [(inputs, targets(sample))]
        else:
            parts = ((scaling.apply(x), y) for x, y in data.batches("train", _BLOCK))
        for some, values in parts:
            yield Block(some, values > 0, np.where(values > 0, one, zero)[:, np.newaxis])

    solution = logistic.solve(blocks, choice.strength, axes, start=choice.coefficients)
    facts = {
        "strength": choice.strength,
        "chosen_on": chosen_on,
        "iterations": solution.iterations,
        "loss": logistic.mean_loss(blocks, solution.coefficients),
        "prevalence": prevalence,
        "seconds": time.perf_counter() - started,
    }
    return Solved(
        head=assume(scaling.fold(solution.coefficients[:, 0]), prevalence),
        history=choice.history,
        facts=facts,
        estimate=_estimate(data, scaling, choice.strength, groups),
    )


def _choose(
    data: Data,
    sample: pd.DataFrame,
    inputs: Array,
    axes: Axes,
    scaling: Standardisation,
    groups: pd.Series,
) -> tuple[Choice, str]:
    """Choose the strength; return it, and the images that it was chosen on in words."""
    validation = data.parts["validation"]
    if len(validation) < LARGE_VALIDATION:
        some = sample.head(COMPARED)
        held_out = folds(targets(some), _numbers(groups, some))
        if count := held_out.shape[1]:
            labels = targets(some)
            weights = label_weights(labels)
            choice = choose_strength(inputs[: len(some)], labels, weights, held_out, axes)
            return choice, f"{count}-fold cross-validation over {len(some):,} training images"
    rows = pd.concat([sample, validation])
    labels = targets(rows)
    weights = np.concatenate([label_weights(targets(part)) for part in (sample, validation)])
    unseen = np.arange(len(rows))[:, np.newaxis] >= len(sample)
    inputs = np.concatenate([inputs, scaling.apply(_features(data, validation))])
    choice = choose_strength(inputs, labels, weights, unseen, axes)
    return choice, f"{len(validation):,} validation images"


def _estimate(
    data: Data, scaling: Standardisation, strength: float, groups: pd.Series
) -> Estimate | None:
    rows = pd.concat([data.parts[part] for part in PARTS])
    if len(data.parts["test"]) >= SMALL_TEST or len(rows) > COMPARED:
        return None
    rows = by_hash(rows)
    inputs = scaling.apply(_features(data, rows))
    return estimate(inputs, targets(rows), _numbers(groups, rows), strength)


def _numbers(groups: pd.Series, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the group of each row; a row that was not compared has its own."""
    own = pd.Series(-1 - np.arange(len(rows)), rows["objectId"])
    return groups.reindex(rows["objectId"]).fillna(own).to_numpy(np.int64)


def _features(data: Data, frame: pd.DataFrame) -> NDArray[np.float32]:
    features: NDArray[np.float32] = data.arrays.get(sha1s(frame).tolist())
    return features
