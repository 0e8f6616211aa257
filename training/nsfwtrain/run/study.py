"""The study's recipe: train the head with Adam for some epochs, as the published study did."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nsfwscan.reports.progress import Progress
from nsfwtrain.data.examples import Data
from nsfwtrain.data.tables import targets
from nsfwtrain.model.head import Weights
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run.epochs import Epochs
from nsfwtrain.run.loop import Trainer
from nsfwtrain.run.options import Study
from nsfwtrain.run.state import State
from nsfwtrain.run.weights import class_weights


def train_head(
    forward: Callable[[Any], Any],
    variables: list[Any],
    state: State,
    data: Data,
    recipe: Study,
    seed: int,
    batch_size: BatchSize,
    *,
    out: Path,
    say: Callable[[str], None],
    progress: Progress,
) -> tuple[Weights, bool]:
    """Train from a state; return the head, and whether Ctrl-C stopped the training.

    Parameters
    ----------
    forward, variables
        See `nsfwtrain.run.loop.Trainer`.
    out
        The run's folder, which gets the state and the history after each epoch.
    """
    labels = targets(data.parts["train"])
    trainer = Trainer(
        forward,
        variables,
        learning_rate=recipe.learning_rate,
        class_weight=class_weights(labels) if recipe.balanced else (1.0, 1.0),
    )
    epochs = Epochs(
        trainer, state, data, recipe, seed, batch_size, out=out, say=say, progress=progress
    )
    interrupted = epochs.run()
    if state.best is not None and (recipe.patience is not None or interrupted):
        return state.best, interrupted
    return state.head, interrupted
