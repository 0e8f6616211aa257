"""Write a run's folder. `nsfwtrain.run.results` reads it.

=====================  =========================================================
``model/``             SavedModel that needs neither the network nor the backbone
``model.h5``           the same model in the study's format; loading it needs the backbone
``history.csv``        loss and accuracy by strength of the penalty, or by epoch
``logs/``              the same by epoch, with histograms of the head, for TensorBoard
``scores.csv``         label, score and origin of each test image
``metrics.json``       loss, accuracy and the rest on the whole test split
``*.png``              ROC, precision and recall, reliability, confusion
``split.csv``           the split that it learned from
``held_out.csv``       label and score of images by heads that have not learned from them
``begun.json``         the facts that must not change when a run is resumed
``state.npz``          the state from which ``--resume`` continues, with the digest of the former
``run.json``           everything else: options, counts, metrics, seconds, versions, and digests
=====================  =========================================================
"""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nsfwscan.dataset.labels import HELD_OUT_FILE
from nsfwscan.dataset.runs import FACTS_FILE, MODEL_FOLDER, with_digests
from nsfwscan.util.files import atomic_write, check_outputs
from nsfwtrain.data.tables import by_hash, targets, write_table
from nsfwtrain.errors import RunError
from nsfwtrain.run.plots import PLOTS, plot_evaluation
from nsfwtrain.run.results import HISTORY_FILE, SCORES_FILE
from nsfwtrain.run.state import BEGUN, STATE, State, load_state

SCHEMA = 1
METRICS_FILE, SPLIT_FILE = "metrics.json", "split.csv"
_HDF5_FILE = "model.h5"
_EVALUATION = (METRICS_FILE, SCORES_FILE, *PLOTS)
_RESULTS = (HISTORY_FILE, HELD_OUT_FILE, SPLIT_FILE, _HDF5_FILE, METRICS_FILE, SCORES_FILE)
_FILES = (FACTS_FILE, BEGUN, STATE, *_RESULTS, *PLOTS)
_SAME = ("variant", "split_sha256", "backbone_fingerprint")
_MAY_CHANGE = {"epochs", "patience", "skip_bad"}
_PACKAGES = (
    "nsfwscan", "tensorflow", "tf-keras", "tensorflow-hub", "numpy", "scipy", "scikit-learn",
    "pillow",
)  # fmt: skip


def check_place(out: Path, inputs: Iterable[Path]) -> None:
    """Check that each file of a run can be written, and is none of the files that it reads.

    Raises
    ------
    OutputError
        If a file cannot be written, or is an input.
    """
    check_outputs(out, _FILES, inputs)


def begin(out: Path, facts: dict[str, Any], split: pd.DataFrame, *, resume: bool) -> State | None:
    """Create a run's folder, or return the state of an interrupted run if it finished an epoch.

    Raises
    ------
    RunError
        If the folder holds a run and `resume` is false, or a run with other options, or if it
        cannot be used.
    """
    begun = out / BEGUN
    try:
        trained = any((out / name).exists() for name in (FACTS_FILE, STATE))
        if trained and not resume:
            raise RunError(
                f"{out} holds a run already; continue it with --resume, or choose another folder"
            )
        if not trained or not begun.exists():
            out.mkdir(parents=True, exist_ok=True)
            with atomic_write(begun) as stream:
                json.dump(facts, stream, indent=2)
            _unfinish(out, split)
            return None
        before = json.loads(begun.read_text(encoding="utf-8"))
        pairs = [(name, before.get(name), facts[name]) for name in _SAME]
        options = {"recipe": "study"} | before.get("options", {})  # of runs before the recipes
        pairs += [
            (name, options.get(name), value)
            for name, value in facts["options"].items()
            if name not in _MAY_CHANGE
        ]
        for name, was, now in pairs:
            if was != now:
                label = name.replace("_", " ")
                raise RunError(f"{out} cannot be resumed: its {label} was {was}, now it is {now}")
        state = load_state(out)
        _unfinish(out, split)
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"cannot use the run's folder {out}: {error}") from error
    return state


def _unfinish(out: Path, split: pd.DataFrame) -> None:
    """Remove ``run.json``, since the files change from here on, and write the split in use."""
    (out / FACTS_FILE).unlink(missing_ok=True)
    write_table(out / SPLIT_FILE, split)


def save_history(out: Path, history: pd.DataFrame) -> None:
    """Write ``history.csv``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_table(out / HISTORY_FILE, history)


def save_held_out(out: Path, scored: pd.DataFrame) -> None:
    """Write ``held_out.csv``.

    Parameters
    ----------
    scored
        A label frame with the column ``score``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_table(out / HELD_OUT_FILE, by_hash(scored), float_format="%.9g")


def check_is_no_run(out: Path) -> None:
    """Check that an evaluation would not replace files of a run.

    Raises
    ------
    RunError
        If the folder is a run, or is in the model of a run.
    """
    real = out.resolve()
    for folder in (real, *real.parents):
        if not any((folder / name).exists() for name in (FACTS_FILE, BEGUN)):
            continue
        if real.relative_to(folder).parts[:1] in {(), (MODEL_FOLDER,)}:
            raise RunError(
                f"{out} is a training run, which keeps its own evaluation, or its model; choose "
                "another folder with --out, or leave it out"
            )


def begin_evaluation(out: Path, subject: Mapping[str, str]) -> None:
    """Create the folder of an evaluation.

    Parameters
    ----------
    subject
        What is evaluated: the SHA-256 of the model and of the split.

    Raises
    ------
    RunError
        If the folder holds an evaluation of something else, or cannot be used.
    OutputError
        If a file of the evaluation cannot be written.
    """
    path = out / METRICS_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {**subject}
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot use the folder {out}: {error}") from error
    for name, value in subject.items():
        if before.get(name) != value:
            raise RunError(
                f"{out} holds the evaluation of another {name.partition('_')[0]}; choose another "
                "folder with --out"
            )
    check_outputs(out, _EVALUATION)


def save_evaluation(
    out: Path,
    rows: pd.DataFrame,
    scores: NDArray[np.float32],
    metrics: dict[str, Any],
    names: Sequence[str],
) -> None:
    """Write the metrics, the score of each test image, and the plots.

    Parameters
    ----------
    rows
        A label frame with the columns ``score`` and ``path``.
    scores
        float32 (N,), the scores for equally frequent labels, which the plots show.
    metrics
        See `nsfwtrain.run.metrics.evaluate`.
    names
        Of label 0 and label 1.

    Raises
    ------
    NsfwScanError
        If a file cannot be written.
    """
    with atomic_write(out / METRICS_FILE) as stream:
        json.dump(metrics, stream, indent=2)
        stream.write("\n")
    plot_evaluation(targets(rows), scores, metrics["threshold"], names, out)
    write_table(out / SCORES_FILE, rows, float_format="%.6f")


def finish(out: Path, facts: dict[str, Any]) -> None:
    """Write ``run.json`` with the digests of all results; it marks a run as finished.

    Raises
    ------
    RunError
        If one of them cannot be read.
    OutputError
        If ``run.json`` cannot be written.
    """
    files = [path for path in (out / MODEL_FOLDER).rglob("*") if path.is_file()]
    facts = {
        "schema": SCHEMA,
        **facts,
        "bytes": {
            "model": sum(path.stat().st_size for path in files),
            _HDF5_FILE: (out / _HDF5_FILE).stat().st_size,
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "platform": sys.platform,
    }
    try:
        facts = with_digests(facts, out, _RESULTS)
    except OSError as error:
        raise RunError(f"cannot use the run's folder {out}: {error}") from error
    with atomic_write(out / FACTS_FILE) as stream:
        json.dump(facts, stream, indent=2)
        stream.write("\n")
