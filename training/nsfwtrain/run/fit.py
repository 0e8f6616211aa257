"""Train one variant: data, features, head, evaluation, and all of it into the run's folder.

::

    nsfwtrain fit b0 --store STORE --split SPLIT --out RUN

In features mode each image passes the frozen backbone once, and the head learns from the cached
feature vectors; in end-to-end mode every epoch goes over the pixels, as in the published study.
Both take the same batches in the same order from the same first weights, and give the same model.
The published B0 took 9m48.603s for 10 epochs on a GTX 1070, and got 0.8516 on its test images.
"""

import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import LABELS, Part, read_split
from nsfwscan.errors import LabelError
from nsfwscan.util.parallel import available_cores
from nsfwtrain.data import examples
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.split import count
from nsfwtrain.errors import RunError
from nsfwtrain.model.backbone import fingerprint, load_backbone
from nsfwtrain.model.classifier import build_model, feature_function, save_model
from nsfwtrain.model.head import initial_head
from nsfwtrain.model.keras import gpus, tf, use_mixed_precision, use_one_thread_per_call
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run import folder
from nsfwtrain.run.log import Log
from nsfwtrain.run.loop import Batches, Trainer, score
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.state import Epoch, State, save_state
from nsfwtrain.variants import Variant

Mode = Literal["features", "end-to-end"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a run can be asked for; the defaults are the published study's.

    Attributes
    ----------
    mode
        ``features`` or ``end-to-end``.
    epochs, batch_size, learning_rate
        As in the study: 10, the variant's, and Adam's default.
    balanced
        Weigh the labels by the inverse of their share in the training part.
    patience
        Stop after so many epochs without a better validation loss, and keep the best. None: never.
    seed
        Of the first weights and of the order.
    mixed_precision
        Compute in float16 where that is safe, on a GPU that gains from it.
    skip_bad
        Leave out images that cannot be used, instead of stopping before the training.
    """

    mode: Mode = "features"
    epochs: int = 10
    batch_size: int
    learning_rate: float = 0.001
    balanced: bool = False
    patience: int | None = None
    seed: int = 0
    mixed_precision: bool = False
    skip_bad: bool = False


@dataclass
class Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def fit(
    variant: Variant,
    store: Path,
    split_file: Path,
    out: Path,
    options: Options,
    *,
    backbone: str | None = None,
    cache: Path,
    resume: bool = False,
    say: Callable[[str], None] = print,
    progress: examples.Progress = examples.no_progress,
) -> dict[str, Any]:
    """Train one variant.

    Parameters
    ----------
    variant
        Its row.
    store, split_file
        The labelled images.
    out
        The run's folder; it must not hold another run.
    options
        What is asked for.
    backbone
        A hub handle or a SavedModel folder; None is the variant's handle.
    cache
        Folder of the caches, shared between runs.
    resume
        Go on with what an interrupted run left in `out`.
    say
        Told in lines what goes on.
    progress
        Shows how much is done.

    Returns
    -------
    dict
        The run's facts, as ``run.json`` has them.

    Raises
    ------
    NsfwScanError
        If the labels, the store, the backbone, the cache or the run's folder cannot be used.
    """
    clock = Clock()
    if not split_file.is_file():
        raise LabelError(f"{split_file} is no file that can be read twice; name a split file")
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"TensorFlow writes only to names in UTF-8, not to {out}") from error
    rows = read_split(split_file)
    if options.mode == "features" and not gpus():
        use_one_thread_per_call()
    mixed = options.mixed_precision and use_mixed_precision()
    if options.mixed_precision and not mixed:
        say("no GPU here gains from mixed precision: going on in float32")
    facts: dict[str, Any] = {
        "variant": variant.name,
        "split_sha256": hashlib.sha256(split_file.read_bytes()).hexdigest(),
        "counts": {f"{part}/{value}": n for (part, value), n in count(rows).items()},
        "options": vars(options) | {"mixed_precision": mixed},
        "backbone": backbone or variant.handle,
        "device": [gpu.get("device_name", "GPU") for gpu in gpus()] or ["cpu"],
    }
    with clock.stage("backbone"):
        layer = load_backbone(facts["backbone"], variant.feature_dim)
        facts["backbone_fingerprint"] = fingerprint(facts["backbone"])
    state = folder.begin(out, facts, resume=resume)
    preprocess = Preprocess(size=variant.image_size)
    arrays = _cache(cache, variant, facts, preprocess)
    missing = examples.missing(rows, arrays)
    make: Callable[[Any], NDArray[Any]] = _same
    if missing and options.mode == "features":
        with clock.stage("compilation"):
            make = _features(variant, layer, say)
    with clock.stage("data"):
        bad = examples.fill(
            arrays, store, missing, preprocess, make, batch_size=_forward_batch(),
            skip_bad=options.skip_bad, progress=progress,
        )  # fmt: skip
        for why in bad.values():
            say(f"left out: {why}")
        parts = examples.by_part(rows, arrays)
    if state is None:
        state = State(initial_head(variant.feature_dim, options.seed))
    for name, before in state.seconds.items():
        clock.seconds[name] = clock.seconds.get(name, 0.0) + before
    state.seconds = dict(clock.seconds)
    model = build_model(variant.image_size, layer, state.head)
    dense = model.layers[-1]
    forward = dense if options.mode == "features" else model
    size = BatchSize(options.batch_size, say)
    with clock.stage("training"):
        trainer = Trainer(
            forward,
            dense.trainable_variables,
            learning_rate=options.learning_rate,
            class_weight=(
                balanced_weights(parts["train"].values) if options.balanced else (1.0, 1.0)
            ),
        )
        done = sum(row.seconds for row in state.history)
        interrupted = _train(trainer, state, parts, arrays, options, size, out, say, progress)
    clock.seconds["training"] += done
    head = state.best if state.best and (options.patience or interrupted) else state.head
    dense.set_weights(list(head))
    with clock.stage("evaluation"):
        test = parts["test"]
        whole = np.arange(len(test))
        scores = size.fit(lambda n: score(forward, examples.batches(test, arrays, n, whole)))
        metrics = evaluate(test.values, scores)
    with clock.stage("saving"):
        save_model(out, model)
    with clock.stage("plots"):
        folder.save_evaluation(out, test, scores, metrics)
    facts |= {
        "counts": {
            f"{part}/{value}": int(np.sum(found.values == value))
            for part, found in parts.items()
            for value in LABELS
        },
        "metrics": metrics,
        "epochs": len(state.history),
        "interrupted": interrupted,
        "left_out": bad,
        "parameters": model.count_params(),
        "preprocess": vars(preprocess),
        "seconds": clock.seconds,
    }
    folder.finish(out, facts)
    return facts


def _forward_batch() -> int:
    """Give how many images the backbone takes at a time where no gradient passes it.

    On a CPU each core has its own few: more would not stay in its cache (B0 on two cores: 93 a
    second by 4, 79 by 16).
    """
    return 32 if gpus() else 4


def _cache(
    root: Path, variant: Variant, facts: dict[str, Any], preprocess: Preprocess
) -> ArrayCache:
    """Open the cache that training reads from."""
    if facts["options"]["mode"] == "end-to-end":
        return examples.pixels_cache(root, preprocess)
    mixed = facts["options"]["mixed_precision"]
    key = facts["backbone_fingerprint"] + (" in mixed precision" if mixed else "")
    return examples.features_cache(root, key, preprocess, variant.feature_dim)


def _same(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels


def _features(
    variant: Variant, layer: Any, say: Callable[[str], None]
) -> Callable[[Any], NDArray[Any]]:
    """Compile what makes features of pixels."""
    features = feature_function(variant.image_size, layer)
    batch = BatchSize(_forward_batch(), say)
    # One batch computes while the next is on its way to a GPU; on a CPU each core has its own.
    turns = threading.BoundedSemaphore(2 if gpus() else available_cores())

    def make(pixels: Any) -> NDArray[Any]:
        def in_batches(size: int) -> NDArray[Any]:
            starts = range(0, len(pixels), size)
            return np.concatenate([features(tf.constant(pixels[i : i + size])) for i in starts])

        with turns:
            return batch.fit(in_batches)

    make(np.zeros((batch.size, variant.image_size, variant.image_size, 3), np.uint8))
    return make


def balanced_weights(labels: NDArray[np.float32]) -> tuple[float, float]:
    """Give the weights by which both labels count alike, and an example 1 in the mean."""
    zero, one = (float(np.mean(labels == value)) for value in LABELS)
    return 0.5 / zero, 0.5 / one


def _train(
    trainer: Trainer,
    state: State,
    parts: dict[Part, examples.Examples],
    arrays: ArrayCache,
    options: Options,
    batch_size: BatchSize,
    out: Path,
    say: Callable[[str], None],
    progress: examples.Progress,
) -> bool:
    """Run the epochs that are missing; end early by patience, or by Ctrl-C: tell if by that."""
    train, validation = parts["train"], parts["validation"]
    whole = np.arange(len(validation))
    an_epoch = len(train) + len(validation)
    trainer.restore(state)
    trainer.save(state)

    def epoch(size: int) -> tuple[tuple[float, float], tuple[float, float]]:
        trainer.restore(state)  # where memory ran out midway, some steps have been taken
        done = len(state.history) * an_epoch

        def counted(batches: Batches) -> Batches:
            nonlocal done
            for inputs, labels in batches:
                yield inputs, labels
                done += len(labels)
                advance(done)

        chosen = examples.order(len(train), options.seed, len(state.history))
        return (
            trainer.train(counted(examples.batches(train, arrays, size, chosen))),
            trainer.evaluate(counted(examples.batches(validation, arrays, size, whole))),
        )

    if len(state.history) >= options.epochs:
        say(f"{len(state.history)} epochs are done already, nothing is left to train")
    with closing(Log(out)) as log, progress("training", options.epochs * an_epoch) as advance:
        try:
            while len(state.history) < options.epochs:
                if options.patience and state.epochs_without_gain >= options.patience:
                    say(f"no better validation loss in {options.patience} epochs: stopped")
                    break
                started = time.perf_counter()
                (loss, accuracy), (val_loss, val_accuracy) = batch_size.fit(epoch)
                row = Epoch(
                    epoch=len(state.history) + 1, loss=loss, accuracy=accuracy, val_loss=val_loss,
                    val_accuracy=val_accuracy, seconds=time.perf_counter() - started,
                )  # fmt: skip
                if not math.isfinite(row.loss + row.val_loss):
                    raise RunError(
                        f"the training diverged: the loss of epoch {row.epoch} is {row.loss:g}; "
                        "choose a lower --learning-rate"
                    )
                if row.val_loss < state.best_loss:
                    state.best = trainer.head()
                state.history.append(row)
                trainer.save(state)
                save_state(out, state)
                log.write(state)
                say(
                    f"epoch {row.epoch} of {options.epochs}: loss {loss:.4f}, accuracy "
                    f"{accuracy:.4f}; validation {val_loss:.4f}, {val_accuracy:.4f}; "
                    f"{row.seconds:.1f} s"
                )
        except KeyboardInterrupt:
            if state.best is None:
                raise
            say("interrupted: the best head so far is kept, --resume goes on")
            return True
    return False
