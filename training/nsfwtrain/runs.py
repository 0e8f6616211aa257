"""A run's folder: what is written there, and how it is read back.

=====================  =========================================================
``model/``             self-contained SavedModel: neither network nor backbone needed
``model.h5``           the same as in the study; loading it needs the backbone again
``history.csv``        loss and accuracy by epoch
``logs/``              the same and histograms of the head, for TensorBoard
``scores.csv``         score of each test image
``metrics.json``       loss, accuracy and the rest on the whole test split
``*.png``              ROC, precision and recall, reliability, confusion
``state.npz``          what ``--resume`` goes on from
``run.json``           everything else: options, counts, metrics, seconds, versions
=====================  =========================================================
"""

import csv
import importlib.metadata
import json
import platform
import sys
import zipfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan.files import replacing
from nsfwtrain.data import Examples
from nsfwtrain.errors import RunError
from nsfwtrain.keras import hub, tf, tf_keras
from nsfwtrain.loop import Epoch, State
from nsfwtrain.plots import plot_evaluation

SCHEMA = 1
_FACTS, _STATE, _BEGUN = "run.json", "state.npz", "begun.json"
_SAME = ("variant", "split_sha256", "backbone_fingerprint")
_SAME_OPTIONS = ("mode", "batch_size", "learning_rate", "balanced", "seed")
_PACKAGES = ("nsfwscan", "tensorflow", "tf-keras", "tensorflow-hub", "numpy", "pillow")


def begin(out: Path, facts: dict[str, Any], *, resume: bool) -> State | None:
    """Make a run's folder, or take up what an interrupted run left there.

    Raises
    ------
    RunError
        If the folder holds a run that is not to be resumed, or is another one's, or cannot be made.
    """
    begun = out / _BEGUN
    try:
        if begun.exists() and not resume:
            raise RunError(
                f"{out} holds a run already; go on with it by --resume, or name another folder"
            )
        if not begun.exists():
            out.mkdir(parents=True, exist_ok=True)
            with replacing(begun) as stream:
                json.dump(facts, stream, indent=2)
            return None
        before = json.loads(begun.read_text(encoding="utf-8"))
        pairs = [(name, before.get(name), facts[name]) for name in _SAME]
        options, asked = before.get("options", {}), facts["options"]
        pairs += [(name, options.get(name), asked[name]) for name in _SAME_OPTIONS]
        for name, was, now in pairs:
            if was != now:
                raise RunError(
                    f"{out} cannot be resumed: its {name.replace('_', ' ')} was {was}, now it is "
                    f"{now}"
                )
        return load_state(out)
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"cannot use the run's folder {out}: {error}") from error


def save_state(out: Path, state: State) -> None:
    """Write what a resumed training goes on from, whole or not at all."""
    arrays = {"head_0": state.head[0], "head_1": state.head[1]}
    if state.best is not None:
        arrays |= {"best_0": state.best[0], "best_1": state.best[1]}
    arrays |= {f"optimizer_{i}": value for i, value in enumerate(state.optimizer)}
    names = [field.name for field in fields(Epoch)]
    arrays["history"] = np.array([[getattr(row, name) for name in names] for row in state.history])
    beside = out / f".{_STATE}"
    try:
        with beside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        beside.replace(out / _STATE)
    except OSError as error:
        raise RunError(f"cannot write {out / _STATE}: {error.strerror}") from error


def load_state(out: Path) -> State | None:
    """Read it back; None if no epoch was finished.

    Raises
    ------
    RunError
        If the file does not hold.
    """
    path = out / _STATE
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            count = sum(name.startswith("optimizer_") for name in arrays.files)
            best = (arrays["best_0"], arrays["best_1"]) if "best_0" in arrays.files else None
            history = [
                Epoch(
                    **{
                        field.name: field.type(value) if callable(field.type) else value
                        for field, value in zip(fields(Epoch), row, strict=True)
                    }
                )
                for row in arrays["history"].tolist()
            ]
            return State(
                head=(arrays["head_0"], arrays["head_1"]),
                optimizer=[arrays[f"optimizer_{i}"] for i in range(count)],
                best=best,
                history=history,
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} does not hold ({error}); train anew in another folder") from error


class Log:
    """Writes each epoch into ``history.csv`` and for TensorBoard."""

    def __init__(self, out: Path) -> None:
        self._path = out / "history.csv"
        self._train = tf.summary.create_file_writer(str(out / "logs" / "train"))
        self._validation = tf.summary.create_file_writer(str(out / "logs" / "validation"))

    def write(self, state: State) -> None:
        """Write the last epoch, and the history whole: a killed run may have missed a row."""
        row, head = state.history[-1], state.head
        with replacing(self._path) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(asdict(row))
            writer.writerows(asdict(epoch).values() for epoch in state.history)
        with self._train.as_default(step=row.epoch):
            tf.summary.scalar("loss", row.loss)
            tf.summary.scalar("accuracy", row.accuracy)
            tf.summary.histogram("probability/kernel", head[0])
            tf.summary.histogram("probability/bias", head[1])
        with self._validation.as_default(step=row.epoch):
            tf.summary.scalar("loss", row.val_loss)
            tf.summary.scalar("accuracy", row.val_accuracy)

    def close(self) -> None:
        """End the files."""
        self._train.close()
        self._validation.close()


def save_model(out: Path, model: Any) -> None:
    """Write the model in both forms."""
    model.save(out / "model", save_format="tf", include_optimizer=False)
    model.save(out / "model.h5", save_format="h5", include_optimizer=False)


def load_model(out: Path) -> Any:
    """Load a run's model from its SavedModel.

    Raises
    ------
    RunError
        If there is none, or it does not load.
    """
    try:
        return tf_keras.models.load_model(
            out / "model", custom_objects={"KerasLayer": hub.KerasLayer}, compile=False
        )
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise RunError(f"{out} holds no model that loads ({said})") from error


def save_evaluation(
    out: Path, examples: Examples, scores: NDArray[np.float32], metrics: dict[str, Any]
) -> None:
    """Write the metrics, the score of each test image by its SHA-1, and the plots."""
    with replacing(out / "metrics.json") as stream:
        json.dump(metrics, stream, indent=2)
        stream.write("\n")
    plot_evaluation(examples.labels, scores, metrics["threshold"], out)
    with replacing(out / "scores.csv") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["sha1", "value", "score"])
        writer.writerows(
            (sha1, int(label), f"{score:.6f}")
            for sha1, label, score in zip(examples.sha1s, examples.labels, scores, strict=True)
        )


def finish(out: Path, facts: dict[str, Any]) -> None:
    """Write ``run.json``: with it a run is whole."""
    files = [path for path in (out / "model").rglob("*") if path.is_file()]
    devices = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(device) for device in devices]
    facts = {
        "schema": SCHEMA,
        **facts,
        "bytes": {
            "model": sum(path.stat().st_size for path in files),
            "model.h5": (out / "model.h5").stat().st_size,
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": [entry.get("device_name", "GPU") for entry in details] or ["cpu"],
        "platform": sys.platform,
    }
    with replacing(out / _FACTS) as stream:
        json.dump(facts, stream, indent=2)
        stream.write("\n")


def read_facts(out: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises
    ------
    RunError
        If there is none, or it is no JSON.
    """
    try:
        facts: dict[str, Any] = json.loads((out / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{out} is no finished run: {error}") from error
    return facts
