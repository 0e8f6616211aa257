"""The converged recipe: choose the strength of the penalty, then solve for the head.

A large validation part chooses the strength, and the head learns from the training part. A small
one would choose by luck: the head learns from both parts, and their cross-validation chooses.
Either way, the images that chose get scores by heads that have not learned from them, for the
choice of a threshold.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nsfwscan.dataset.labels import PARTS, Part
from nsfwtrain.data.examples import Data
from nsfwtrain.data.tables import by_hash, sha1s, targets
from nsfwtrain.model import logistic
from nsfwtrain.model.head import Weights
from nsfwtrain.model.logistic import Array, Axes, Block, Standardisation
from nsfwtrain.run.options import Converged
from nsfwtrain.run.resampling import Estimate, estimate, folds
from nsfwtrain.run.strength import Choice, choose_strength
from nsfwtrain.run.weights import assume, class_weights, label_weights, scores_of, share

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
        ``strength``, ``scale``, ``chosen_on``, ``learned_from`` (parts of the split),
        ``iterations``, ``loss`` (over the images learned from, if both labels had the same weight),
        ``prevalence``, ``seconds``.
    held_out
        A label frame of the images that chose the strength. The column ``score`` is by heads that
        have not learned from the image.
    estimate
        Cross-validated over all images; None if the test part is large, or a label too rare.
    """

    head: Weights
    history: pd.DataFrame
    facts: dict[str, Any]
    held_out: pd.DataFrame
    estimate: Estimate | None


@dataclass(frozen=True)
class _Plan:
    """What a head learns from, and what chooses its strength.

    Attributes
    ----------
    parts
        The parts of the split that the head learns from.
    sample
        The rows of these parts that are kept in memory.
    chosen_on
        The rows that choose the strength: some of `sample`, or all of it and further ones.
    weights, held_out
        float64 (rows of `chosen_on`,) and bool (rows of `chosen_on`, problems), see
        `nsfwtrain.run.strength.choose_strength`.
    words
        The images that choose, in words.
    """

    parts: tuple[Part, ...]
    sample: pd.DataFrame
    chosen_on: pd.DataFrame
    weights: Array
    held_out: NDArray[np.bool_]
    words: str


def compared_rows(split: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are cross-validated, whose near-duplicates must therefore be known."""
    counts = split["type"].value_counts()
    if counts["test"] < SMALL_TEST and len(split) <= COMPARED:
        return by_hash(split)
    if counts["validation"] < LARGE_VALIDATION:
        return by_hash(split[split["type"] != "test"]).head(COMPARED)
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
    prevalence = share(recipe.prevalence, targets(data.parts["train"]))
    plan = _plan(data, groups, in_memory // (8 * data.arrays.shape[0]))
    features = _features(data, plan.sample)
    scaling = Standardisation.of(features)
    inputs = scaling.apply(features)
    del features
    axes = Axes.of(inputs)
    others = plan.chosen_on[len(plan.sample) :]
    compared = inputs[: len(plan.chosen_on)]
    if len(others):
        compared = np.concatenate([inputs, scaling.apply(_features(data, others))])
    labels = targets(plan.chosen_on)
    choice = choose_strength(compared, labels, plan.weights, plan.held_out, axes)
    del compared
    learned = pd.concat([data.parts[part] for part in plan.parts])
    zero, one = class_weights(targets(learned))

    def blocks() -> Iterator[Block]:
        """Yield the images learned from: from memory, or from the cache if it is larger."""
        parts: Iterable[tuple[Array, NDArray[np.float32]]] = [(inputs, targets(plan.sample))]
        if len(plan.sample) < len(learned):
            batches = (data.batches(part, _BLOCK) for part in plan.parts)
            parts = ((scaling.apply(x), y) for x, y in chain.from_iterable(batches))
        for some, values in parts:
            yield Block(some, values > 0, np.where(values > 0, one, zero)[:, np.newaxis])

    solution = logistic.solve(blocks, choice.strength, axes, start=choice.coefficients)
    coefficients = choice.scale * solution.coefficients
    facts = {
        "strength": choice.strength,
        "scale": choice.scale,
        "chosen_on": plan.words,
        "learned_from": list(plan.parts),
        "iterations": solution.iterations,
        "loss": logistic.mean_loss(blocks, coefficients),
        "prevalence": prevalence,
        "seconds": time.perf_counter() - started,
    }
    scored = plan.chosen_on.assign(score=scores_of(choice.margins, prevalence))
    return Solved(
        head=assume(scaling.fold(coefficients[:, 0]), prevalence),
        history=choice.history,
        facts=facts,
        held_out=scored.iloc[np.flatnonzero(plan.held_out.any(axis=1))],
        estimate=_estimate(data, scaling, choice, groups),
    )


def _plan(data: Data, groups: pd.Series, limit: int) -> _Plan:
    """Plan for at most `limit` rows in memory."""
    train, validation = data.parts["train"], data.parts["validation"]
    if len(validation) < LARGE_VALIDATION:
        sample = by_hash(pd.concat([train, validation])).head(limit)
        some = sample.head(COMPARED)
        labels = targets(some)
        held_out = folds(labels, _numbers(groups, some))
        if count := held_out.shape[1]:
            words = f"{count}-fold cross-validation over {len(some):,} images"
            weights = label_weights(labels)
            return _Plan(("train", "validation"), sample, some, weights, held_out, words)
    sample = by_hash(train).head(limit)
    rows = pd.concat([sample, validation])
    weights = np.concatenate([label_weights(targets(part)) for part in (sample, validation)])
    held_out = np.arange(len(rows))[:, np.newaxis] >= len(sample)
    words = f"{len(validation):,} validation images"
    return _Plan(("train",), sample, rows, weights, held_out, words)


def _estimate(
    data: Data, scaling: Standardisation, choice: Choice, groups: pd.Series
) -> Estimate | None:
    rows = pd.concat([data.parts[part] for part in PARTS])
    if len(data.parts["test"]) >= SMALL_TEST or len(rows) > COMPARED:
        return None
    rows = by_hash(rows)
    inputs = scaling.apply(_features(data, rows))
    return estimate(inputs, targets(rows), _numbers(groups, rows), choice.strength, choice.scale)


def _numbers(groups: pd.Series, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the group of each row; a row that was not compared has its own."""
    own = pd.Series(-1 - np.arange(len(rows)), rows["objectId"])
    return groups.reindex(rows["objectId"]).fillna(own).to_numpy(np.int64)


def _features(data: Data, frame: pd.DataFrame) -> NDArray[np.float32]:
    features: NDArray[np.float32] = data.arrays.get(sha1s(frame).tolist())
    return features
