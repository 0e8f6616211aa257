"""Evaluate a finished run once more, from the files, by its own model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import read_split
from nsfwtrain.data import examples
from nsfwtrain.errors import RunError
from nsfwtrain.model.classifier import load_model
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run import folder
from nsfwtrain.run.loop import score
from nsfwtrain.run.metrics import evaluate

_BATCH = 32


def evaluate_run(
    run: Path,
    store: Path,
    split_file: Path,
    *,
    cache: Path,
    skip_bad: bool = False,
    say: Callable[[str], None] = print,
    progress: examples.Progress = examples.no_progress,
) -> dict[str, Any]:
    """Score the whole test part of a split with a run's model.

    Parameters
    ----------
    run
        The run's folder; ``scores.csv``, ``metrics.json`` and the plots in it are written anew.
    store, split_file
        The labelled images.
    cache
        Folder of the caches; decoded images are kept there.
    skip_bad
        Leave out images that cannot be used, instead of stopping.
    say
        Told in lines what goes on.
    progress
        Shows how much is done.

    Returns
    -------
    dict
        As `nsfwtrain.metrics.evaluate` gives.

    Raises
    ------
    NsfwScanError
        If the run, the split, the store or the cache cannot be used.
    """
    facts = folder.read_facts(run)
    try:
        preprocess = Preprocess.from_facts(facts["preprocess"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{run}: run.json does not say how images are prepared") from error
    model = load_model(run)
    rows = [row for row in read_split(split_file) if row.part == "test"]
    arrays = examples.pixels_cache(cache, preprocess)
    examples.fill(
        arrays, store, examples.missing(rows, arrays), preprocess, lambda pixels: pixels,
        skip_bad=skip_bad, progress=progress,
    )  # fmt: skip
    test = examples.by_part(rows, arrays, parts=("test",))["test"]
    whole = np.arange(len(test))
    scores = BatchSize(_BATCH, say).fit(
        lambda size: score(model, examples.batches(test, arrays, size, whole))
    )
    metrics = evaluate(test.values, scores)
    folder.save_evaluation(run, test, scores, metrics)
    return metrics
