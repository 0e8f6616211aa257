"""Train one variant: data, features, head, evaluation, and all of it into the run's folder.

::

    nsfwtrain fit b0 --store STORE --split SPLIT --out RUN

In features mode each image passes the frozen backbone once, and the head learns from the cached
feature vectors; in end-to-end mode every epoch goes over the pixels, as in the published study.
Both take the same batches in the same order from the same first weights, and give the same model.
The published B0 took 9m48.603s for 10 epochs on a GTX 1070, and got 0.8516 on its test images.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nsfwscan import Preprocess
from nsfwtrain import data, runs
from nsfwtrain.arrays import ArrayCache
from nsfwtrain.backbone import fingerprint, load_backbone
from nsfwtrain.keras import tf
from nsfwtrain.labels import LABELS, Part, read_split
from nsfwtrain.loop import Epoch, State, Trainer
from nsfwtrain.metrics import evaluate
from nsfwtrain.model import build_model, feature_function, initial_head
from nsfwtrain.split import count
from nsfwtrain.variants import Variant

Mode = Literal["features", "end-to-end"]

_FORWARD_BATCH = 32  # pictures the backbone takes at a time, where no gradient passes it


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
    skip_bad
        Leave out pictures that cannot be used, instead of stopping before the training.
    """

    mode: Mode = "features"
    epochs: int = 10
    batch_size: int
    learning_rate: float = 0.001
    balanced: bool = False
    patience: int | None = None
    seed: int = 0
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
    done: data.Done = lambda _done, _total: None,
) -> dict[str, Any]:
    """Train one variant.

    Parameters
    ----------
    variant
        Its row.
    store, split_file
        The labelled pictures.
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
    done
        Told how many of how many pictures have passed the backbone, or been decoded.

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
    rows = read_split(split_file)
    facts: dict[str, Any] = {
        "variant": variant.name,
        "split_sha256": hashlib.sha256(split_file.read_bytes()).hexdigest(),
        "counts": {f"{part}/{value}": n for (part, value), n in count(rows).items()},
        "options": vars(options),
        "backbone": backbone or variant.handle,
    }
    with clock.stage("backbone"):
        layer = load_backbone(facts["backbone"], variant.feature_dim)
        facts["backbone_fingerprint"] = fingerprint(facts["backbone"])
    state = runs.begin(out, facts, resume=resume)
    preprocess = Preprocess(size=variant.image_size)
    with clock.stage("data"):
        arrays, make = _source(variant, layer, facts, preprocess, options, cache)
        bad = data.fill(
            arrays, store, rows, preprocess, make,
            batch_size=_FORWARD_BATCH, skip_bad=options.skip_bad, done=done,
        )  # fmt: skip
        for why in bad.values():
            say(f"left out: {why}")
        parts = data.examples(rows, arrays)
    if state is None:
        state = State(initial_head(variant.feature_dim, options.seed))
    model = build_model(variant.image_size, layer, state.head)
    with clock.stage("training"):
        trainer = _trainer(model, options, parts["train"].labels)
        trainer.restore(state)
        interrupted = _train(trainer, state, parts, arrays, options, out, say)
    head = state.best if state.best and (options.patience or interrupted) else state.head
    model.layers[-1].set_weights(list(head))
    with clock.stage("evaluation"):
        scores = _scores(model, options, parts["test"], arrays)
        metrics = evaluate(parts["test"].labels, scores)
    with clock.stage("saving"):
        runs.save_model(out, model)
    with clock.stage("plots"):
        runs.save_evaluation(out, parts["test"], scores, metrics)
    facts |= {
        "metrics": metrics,
        "epochs": len(state.history),
        "interrupted": interrupted,
        "left_out": bad,
        "parameters": model.count_params(),
        "preprocess": vars(preprocess),
        "seconds": clock.seconds,
    }
    runs.finish(out, facts)
    return facts


def _source(
    variant: Variant,
    layer: Any,
    facts: dict[str, Any],
    preprocess: Preprocess,
    options: Options,
    root: Path,
) -> tuple[ArrayCache, Callable[[Any], NDArray[Any]]]:
    """Give the cache that training reads from, and what makes its arrays from pixels."""
    if options.mode == "end-to-end":
        return data.pixels_cache(root, preprocess), lambda pixels: pixels
    features = feature_function(variant.image_size, layer)

    def make(pixels: Any) -> NDArray[Any]:
        try:
            made: NDArray[Any] = features(tf.constant(pixels)).numpy()
        except tf.errors.ResourceExhaustedError:
            if len(pixels) == 1:
                raise
            half = len(pixels) // 2
            made = np.concatenate([make(pixels[:half]), make(pixels[half:])])
        return made

    key = facts["backbone_fingerprint"]
    return data.features_cache(root, key, preprocess, variant.feature_dim), make


def balanced_weights(labels: NDArray[np.float32]) -> tuple[float, float]:
    """Give the weights by which both labels count alike, and an example 1 in the mean."""
    zero, one = (float(np.mean(labels == value)) for value in LABELS)
    return 0.5 / zero, 0.5 / one


def _trainer(model: Any, options: Options, labels: NDArray[np.float32]) -> Trainer:
    dense = model.layers[-1]
    weights = balanced_weights(labels) if options.balanced else (1.0, 1.0)
    forward = dense if options.mode == "features" else model
    return Trainer(
        forward,
        dense.trainable_variables,
        learning_rate=options.learning_rate,
        class_weight=weights,
    )


def _train(
    trainer: Trainer,
    state: State,
    parts: dict[Part, data.Examples],
    arrays: ArrayCache,
    options: Options,
    out: Path,
    say: Callable[[str], None],
) -> bool:
    """Run the epochs that are missing; end early by patience, or by Ctrl-C: tell if by that."""
    train, validation = parts["train"], parts["validation"]
    batch_size = options.batch_size
    whole = np.arange(len(validation))
    log = runs.Log(out)
    try:
        while len(state.history) < options.epochs:
            epoch = len(state.history)
            started = time.perf_counter()
            try:
                chosen = data.order(len(train), options.seed, epoch)
                loss, accuracy = trainer.train(data.batches(train, arrays, batch_size, chosen))
                val = trainer.evaluate(data.batches(validation, arrays, batch_size, whole))
            except tf.errors.ResourceExhaustedError:
                if batch_size == 1:
                    raise
                batch_size //= 2
                say(f"out of memory: the batch size is now {batch_size}")
                trainer.restore(state)
                continue
            row = Epoch(
                epoch=epoch + 1, loss=loss, accuracy=accuracy, val_loss=val[0],
                val_accuracy=val[1], seconds=time.perf_counter() - started,
            )  # fmt: skip
            if row.val_loss < state.best_loss:
                state.best = trainer.head()
            state.history.append(row)
            trainer.save(state)
            runs.save_state(out, state)
            log.write(state)
            say(
                f"epoch {row.epoch} of {options.epochs}: loss {loss:.4f}, accuracy {accuracy:.4f}; "
                f"validation {val[0]:.4f}, {val[1]:.4f}; {row.seconds:.1f} s"
            )
            if options.patience and state.epochs_without_gain >= options.patience:
                say(f"no better validation loss in {options.patience} epochs: stopped")
                break
    except KeyboardInterrupt:
        if state.best is None:
            raise
        say("interrupted: the best head so far is kept, --resume goes on")
        return True
    finally:
        log.close()
    return False


def _scores(
    model: Any, options: Options, examples: data.Examples, arrays: ArrayCache
) -> NDArray[np.float32]:
    forward = model.layers[-1] if options.mode == "features" else model
    whole = np.arange(len(examples))
    batches = data.batches(examples, arrays, options.batch_size, whole)
    return np.concatenate([forward(tf.constant(inputs)).numpy()[:, 0] for inputs, _ in batches])
