"""Run the epochs of a training: train, validate, save, stop early."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from nsfwscan.cli.termination import unwrapped
from nsfwscan.reports.progress import Progress
from nsfwtrain.data import examples
from nsfwtrain.data.examples import Batches, Data
from nsfwtrain.errors import RunError
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run.log import Log
from nsfwtrain.run.loop import Trainer
from nsfwtrain.run.options import Study
from nsfwtrain.run.state import State, save_state


class Epochs:
    """Runs the remaining epochs of a run, and updates and saves the state after each epoch."""

    def __init__(
        self,
        trainer: Trainer,
        state: State,
        data: Data,
        recipe: Study,
        seed: int,
        batch_size: BatchSize,
        *,
        out: Path,
        say: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._trainer, self._state, self._recipe, self._seed = trainer, state, recipe, seed
        self._data, self._batch_size = data, batch_size
        self._out, self._say, self._progress = out, say, progress
        self._examples = len(data.parts["train"]) + len(data.parts["validation"])  # of an epoch
        self._advance: Callable[[int], None] = lambda _done: None
        trainer.restore(state)
        trainer.save(state)

    def run(self) -> bool:
        """Run the epochs; return whether Ctrl-C stopped them.

        Ctrl-C before the end of the first epoch raises KeyboardInterrupt: there is no head to keep.
        """
        state, epochs = self._state, self._recipe.epochs
        if len(state.history) >= epochs:
            self._say(f"the run has {len(state.history)} epochs already: nothing to train")
        with (
            closing(Log(self._out, state)) as log,
            self._progress("training", epochs * self._examples) as self._advance,
        ):
            try:
                with unwrapped():
                    while len(state.history) < epochs and not self._is_out_of_patience():
                        self._run_epoch()
                        save_state(self._out, state)
                        log.write(state)
                        self._report()
            except KeyboardInterrupt:
                if state.best is None:
                    raise
                self._say("interrupted: keeping the best head so far; --resume continues the run")
                return True
        return False

    def _is_out_of_patience(self) -> bool:
        patience = self._recipe.patience
        if not patience or self._state.epochs_without_gain < patience:
            return False
        self._say(f"stopped: no lower validation loss in {patience} epochs")
        return True

    def _run_epoch(self) -> None:
        """Train and validate once, and add the epoch to the state."""
        state, started = self._state, time.perf_counter()
        number = len(state.history) + 1
        (loss, accuracy), (val_loss, val_accuracy) = self._batch_size.run(self._pass)
        state.batch_sizes.append(self._batch_size.size)
        seconds = time.perf_counter() - started
        if not math.isfinite(loss + val_loss):
            raise RunError(
                f"the training diverged: the loss of epoch {number} is {loss:g}; "
                "choose a lower --learning-rate"
            )
        if val_loss < state.best_loss:
            state.best = self._trainer.head()
        state.add(number, loss, accuracy, val_loss, val_accuracy, seconds)
        self._trainer.save(state)

    def _pass(self, size: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Pass all examples in batches; return loss and accuracy of training and validation."""
        self._trainer.restore(self._state)  # undo the steps of an attempt that ran out of memory
        epoch = len(self._state.history)
        done = epoch * self._examples

        def counted(batches: Batches) -> Batches:
            nonlocal done
            for inputs, labels in batches:
                yield inputs, labels
                done += len(labels)
                self._advance(done)

        data = self._data
        shuffled = examples.order(len(data.parts["train"]), self._seed, epoch)
        return (
            self._trainer.train(counted(data.batches("train", size, shuffled))),
            self._trainer.evaluate(counted(data.batches("validation", size))),
        )

    def _report(self) -> None:
        row = self._state.history.iloc[-1]
        seconds = row["seconds"]
        took = f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
        self._say(
            f"epoch {row['epoch']:.0f} of {self._recipe.epochs}: loss {row['loss']:.4f}, accuracy "
            f"{row['accuracy']:.4f}; validation {row['val_loss']:.4f}, {row['val_accuracy']:.4f}; "
            f"{took}"
        )
