"""Evaluate a finished run again with the model in its folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import DEFAULT_NAMES
from nsfwtrain.data import examples
from nsfwtrain.data.origins import origins_of
from nsfwtrain.data.tables import read_split, targets
from nsfwtrain.errors import RunError
from nsfwtrain.model.backbone import fingerprint
from nsfwtrain.model.classifier import load_model
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run.folder import SPLIT_FILE, begin_evaluation, save_evaluation
from nsfwtrain.run.lock import held
from nsfwtrain.run.loop import score
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.results import FACTS_FILE, read_facts
from nsfwtrain.run.weights import assumed_prevalence, for_equal_frequencies

_BATCH = 32


def evaluate_run(
    run: Path,
    store: Path,
    split_file: Path,
    out: Path | None = None,
    *,
    cache: Path,
    skip_bad: bool = False,
    say: Callable[[str], None] = print,
    progress: examples.Progress = examples.no_progress,
) -> tuple[Path, dict[str, Any]]:
    """Score the test part of a split with a run's model; return the folder and the metrics.

    The folder gets ``scores.csv``, ``metrics.json`` and the plots. It may hold an earlier
    evaluation of the same model on the same split, and no other.

    Parameters
    ----------
    out
        The folder; None is a folder for the split in ``evaluations/`` of the run.

    Raises
    ------
    NsfwScanError
        If the run, the split, the store, the cache or the folder cannot be used.
    """
    facts = read_facts(run)
    try:
        preprocess = Preprocess.from_facts(facts["preprocess"])
    except ValueError as error:
        raise RunError(f"{run / FACTS_FILE}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{run}: run.json does not say how images are prepared") from error
    split = read_split(split_file)
    subject = {
        "model_sha256": fingerprint(str(run / "model")),
        "split_sha256": hashlib.sha256(split_file.read_bytes()).hexdigest(),
    }
    folder = out or run / "evaluations" / subject["split_sha256"][:12]
    with held(folder):
        begin_evaluation(folder, subject)
        model = load_model(run)
        split = split[split["type"] == "test"]
        arrays = examples.pixels_cache(cache, preprocess)
        examples.fill(
            arrays, store, examples.missing(split, arrays), preprocess, np.asarray,
            skip_bad=skip_bad, progress=progress,
        )  # fmt: skip
        data = examples.collect(split, arrays, parts=("test",))
        test = data.parts["test"]
        _warn_of_training_images(run, facts, test, say)
        scores = BatchSize(_BATCH, say).run(lambda size: score(model, data.batches("test", size)))
        balanced = for_equal_frequencies(scores, assumed_prevalence(facts))
        metrics = evaluate(targets(test), balanced)
        rows = test.assign(score=scores, path=origins_of(test, store))
        names = facts.get("labels", DEFAULT_NAMES)
        save_evaluation(folder, rows, balanced, metrics | subject, names)
    return folder, metrics


def _warn_of_training_images(
    run: Path, facts: dict[str, Any], test: pd.DataFrame, say: Callable[[str], None]
) -> None:
    """Say how many test images the run has learned from. Runs of version 0.1.0 do not know."""
    if not (run / SPLIT_FILE).exists():
        return
    before = read_split(run / SPLIT_FILE)
    parts = facts.get("head", {}).get("learned_from", ["train"])
    learned = before.loc[before["type"].isin(parts), "objectId"]
    if count := int(test["objectId"].isin(learned).sum()):
        say(
            f"the run has learned from {count:,} of these {len(test):,} images, so the metrics are "
            "better than on other images"
        )
