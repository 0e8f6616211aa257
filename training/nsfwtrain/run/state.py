"""What a training goes on from: weights, optimizer, history; kept in ``state.npz``."""

import json
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwtrain.errors import RunError
from nsfwtrain.model.head import Weights

STATE = "state.npz"


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch came to: mean loss and accuracy over every example."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass
class State:
    """All that a training needs to go on: weights, optimizer, what was best, what was before.

    `seconds` are those of the stages before the training, by name.
    """

    head: Weights
    optimizer: list[NDArray[Any]] = field(default_factory=list)
    best: Weights | None = None
    history: list[Epoch] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def best_loss(self) -> float:
        """The least validation loss so far."""
        return min((row.val_loss for row in self.history), default=np.inf)

    @property
    def epochs_without_gain(self) -> int:
        """How many epochs have passed since the validation loss was at its best."""
        losses = [row.val_loss for row in self.history]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def save_state(out: Path, state: State) -> None:
    """Write what a resumed training goes on from, whole or not at all."""
    arrays = {"head_0": state.head[0], "head_1": state.head[1]}
    if state.best is not None:
        arrays |= {"best_0": state.best[0], "best_1": state.best[1]}
    arrays |= {f"optimizer_{i}": value for i, value in enumerate(state.optimizer)}
    names = [field.name for field in fields(Epoch)]
    arrays["seconds"] = np.array(json.dumps(state.seconds))
    arrays["history"] = np.array([[getattr(row, name) for name in names] for row in state.history])
    atomic_path = out / f".{STATE}"
    try:
        with atomic_path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        atomic_path.replace(out / STATE)
    except OSError as error:
        raise RunError(f"cannot write {out / STATE}: {error.strerror}") from error


def load_state(out: Path) -> State | None:
    """Read it back; None if no epoch was finished.

    Raises
    ------
    RunError
        If the file does not hold.
    """
    path = out / STATE
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
                seconds=json.loads(str(arrays["seconds"])),
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} does not hold ({error}); train anew in another folder") from error
