"""Evaluate a finished run again with the model in its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nsfwscan import Preprocess
from nsfwtrain.data import examples
from nsfwtrain.data.tables import read_split, targets
from nsfwtrain.errors import RunError
from nsfwtrain.model.classifier import load_model
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run import folder
from nsfwtrain.run.loop import score
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.results import read_facts

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
    """Score the test part of a split with a run's model, and return the metrics.

    This replaces ``scores.csv``, ``metrics.json`` and the plots in the run's folder.

    Raises
    ------
    NsfwScanError
        If the run, the split, the store or the cache cannot be used.
    """
    facts = read_facts(run)
    try:
        preprocess = Preprocess.from_facts(facts["preprocess"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{run}: run.json does not say how images are prepared") from error
    model = load_model(run)
    split = read_split(split_file)
    split = split[split["type"] == "test"]
    arrays = examples.pixels_cache(cache, preprocess)
    examples.fill(
        arrays, store, examples.missing(split, arrays), preprocess, np.asarray,
        skip_bad=skip_bad, progress=progress,
    )  # fmt: skip
    data = examples.collect(split, arrays, parts=("test",))
    scores = BatchSize(_BATCH, say).run(lambda size: score(model, data.batches("test", size)))
    test = data.parts["test"]
    metrics = evaluate(targets(test), scores)
    folder.save_evaluation(run, test, scores, metrics)
    return metrics
