"""The state from which a training resumes: weights, optimizer, history; saved in ``state.npz``."""

import json
import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nsfwscan.util.digest import file_sha256
from nsfwscan.util.files import atomic_path
from nsfwtrain.errors import RunError
from nsfwtrain.model.head import Weights

STATE = "state.npz"

BEGUN = "begun.json"
"""The facts of the run, whose digest the state has."""

HISTORY = {
    "epoch": "int64",
    "loss": "float64",
    "accuracy": "float64",
    "val_loss": "float64",
    "val_accuracy": "float64",
    "seconds": "float64",
}
"""Columns and dtypes of a history: the means of an epoch over all examples, and its duration."""


def history_frame(rows: Any = ()) -> pd.DataFrame:
    """Build a history from rows of numbers, one for each epoch."""
    return pd.DataFrame(rows, columns=list(HISTORY)).astype(HISTORY)


@dataclass
class State:
    """The state from which a training resumes.

    Attributes
    ----------
    head
        The weights after the last epoch.
    optimizer
        The optimizer's variables.
    best
        The weights of the epoch with the lowest validation loss.
    history
        A row for each epoch, see `HISTORY`.
    seconds
        Duration of each stage before the training.
    prepared
        How many images this run decoded itself, instead of finding them in the cache.
    batch_sizes
        The batch size of each epoch, which is smaller than asked for once memory has run out.
        Version 0.1.0 saved neither this nor `prepared`.
    """

    head: Weights
    optimizer: list[NDArray[Any]] = field(default_factory=list)
    best: Weights | None = None
    history: pd.DataFrame = field(default_factory=history_frame)
    seconds: dict[str, float] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)
    prepared: int = 0

    @property
    def best_loss(self) -> float:
        """The lowest validation loss so far; infinite before the first epoch."""
        return float(self.history["val_loss"].min()) if len(self.history) else math.inf

    @property
    def epochs_without_gain(self) -> int:
        """The number of epochs after the first one with the lowest validation loss."""
        count = len(self.history)
        return count - 1 - int(self.history["val_loss"].argmin()) if count else 0

    def add(self, *row: float) -> None:
        """Add an epoch to the history: its values in the order of `HISTORY`."""
        self.history = pd.concat([self.history, history_frame([row])], ignore_index=True)


_BEGUN_SHA256 = "begun_sha256"  # versions before did not save it


def _begun_sha256(out: Path) -> str:
    """Return the digest of the facts of the run that a state belongs to."""
    return file_sha256(out / BEGUN)


def save_state(out: Path, state: State) -> None:
    """Write a state atomically.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    arrays = {"head_0": state.head[0], "head_1": state.head[1]}
    if state.best is not None:
        arrays |= {"best_0": state.best[0], "best_1": state.best[1]}
    arrays |= {f"optimizer_{i}": value for i, value in enumerate(state.optimizer)}
    arrays["seconds"] = np.array(json.dumps(state.seconds))
    arrays["batch_sizes"] = np.array(state.batch_sizes, np.int64)
    arrays["prepared"] = np.array(state.prepared)
    arrays["history"] = state.history.to_numpy(np.float64)
    arrays[_BEGUN_SHA256] = np.array(_begun_sha256(out))
    with atomic_path(out / STATE) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load_state(out: Path) -> State | None:
    """Read a state; return None if no epoch was finished.

    Raises
    ------
    RunError
        If the file is not valid, or is that of a run with another ``begun.json``.
    """
    path = out / STATE
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            if _BEGUN_SHA256 in arrays and str(arrays[_BEGUN_SHA256]) != _begun_sha256(out):
                raise RunError(
                    f"{path} or {out / BEGUN} is damaged, or is that of another run; restore the "
                    "folder from a copy, or train again in another folder"
                )
            count = sum(name.startswith("optimizer_") for name in arrays.files)
            best = (arrays["best_0"], arrays["best_1"]) if "best_0" in arrays.files else None
            return State(
                head=(arrays["head_0"], arrays["head_1"]),
                optimizer=[arrays[f"optimizer_{i}"] for i in range(count)],
                best=best,
                history=history_frame(arrays["history"]),
                seconds=json.loads(str(arrays["seconds"])),
                prepared=int(arrays["prepared"]) if "prepared" in arrays else 0,
                batch_sizes=arrays["batch_sizes"].tolist() if "batch_sizes" in arrays else [],
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is not valid ({error}); train again in another folder") from error
