"""Evaluate a finished run again with the model in its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import DEFAULT_NAMES
from nsfwscan.dataset.runs import FACTS_FILE, MODEL_FOLDER
from nsfwscan.reports.progress import Progress, no_progress
from nsfwscan.util.digest import file_sha256, folder_sha256
from nsfwtrain.data import examples
from nsfwtrain.data.lock import held
from nsfwtrain.data.objects import lost_objects
from nsfwtrain.data.origins import origins_of
from nsfwtrain.data.tables import read_split, targets
from nsfwtrain.errors import RunError
from nsfwtrain.model.classifier import load_model
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run.folder import SPLIT_FILE, begin_evaluation, check_is_no_run, save_evaluation
from nsfwtrain.run.left_out import left_out_facts, left_out_lines
from nsfwtrain.run.loop import score
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.results import check_file, read_facts
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
    progress: Progress = no_progress,
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
    learned = _learned_from(run, facts)
    model_folder = check_file(run, MODEL_FOLDER)
    subject = {
        "model_sha256": facts.get("model_sha256") or folder_sha256(model_folder),
        "split_sha256": file_sha256(split_file),
    }
    folder = out or run / "evaluations" / subject["split_sha256"][:12]
    check_is_no_run(folder)
    with held(folder):
        begin_evaluation(folder, subject)
        split = split[split["type"] == "test"]
        lost = lost_objects(split, store, cache, skip_bad=skip_bad, progress=progress)
        usable = split[~split["objectId"].isin(lost)]
        with progress("loading the model", None):
            model = load_model(run)
        arrays = examples.pixels_cache(cache, preprocess)
        bad = examples.fill(
            arrays, store, examples.missing(usable, arrays), preprocess, np.asarray,
            skip_bad=skip_bad, progress=progress,
        )  # fmt: skip
        data = examples.collect(usable, arrays, parts=("test",))
        test = data.parts["test"]
        left_out = left_out_facts(split, lost | bad)
        for line in left_out_lines(left_out):
            say(line)
        if count := int(test["objectId"].isin(learned).sum()):
            say(
                f"the run has learned from {count:,} of these {len(test):,} images, so the metrics "
                "are better than on other images"
            )
        with progress("scoring test images", len(test)) as advance:
            scores = BatchSize(_BATCH, say).run(
                lambda size: score(model, data.batches("test", size), advance)
            )
        balanced = for_equal_frequencies(scores, assumed_prevalence(facts))
        metrics = evaluate(targets(test), balanced)
        rows = test.assign(score=scores, path=origins_of(test, store))
        names = facts.get("labels", DEFAULT_NAMES)
        with progress("drawing the plots", None):
            save_evaluation(folder, rows, balanced, metrics | subject | left_out, names)
    return folder, metrics


def _learned_from(run: Path, facts: dict[str, Any]) -> pd.Series:
    """Return the object IDs that a run has learned from; none for runs of version 0.1.0."""
    if not (run / SPLIT_FILE).exists() and "files_sha256" not in facts:
        return pd.Series(dtype="str")
    split = read_split(check_file(run, SPLIT_FILE))
    parts = facts.get("head", {}).get("learned_from", ["train"])
    return split.loc[split["type"].isin(parts), "objectId"]
