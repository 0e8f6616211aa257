"""Train one variant: data, features, head, evaluation. All results go into the run's folder.

::

    nsfwtrain fit b0 --store STORE --split SPLIT --out RUN

In features mode, each image passes through the frozen backbone once, and the head learns from the
cached feature vectors. In end-to-end mode, all pixels pass through the backbone in every epoch, as
in the published study. Both modes use the same batches, the same order and the same first weights,
and give the same model. `nsfwtrain.variants` has the time and the accuracy to expect.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import LABELS, PARTS
from nsfwscan.errors import LabelError
from nsfwtrain.data import examples
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.examples import Data
from nsfwtrain.data.split import balance
from nsfwtrain.data.tables import read_split, targets
from nsfwtrain.errors import RunError
from nsfwtrain.model.backbone import fingerprint, load_backbone
from nsfwtrain.model.classifier import build_model, save_model
from nsfwtrain.model.head import initial_head
from nsfwtrain.model.keras import gpus, use_mixed_precision, use_one_thread_per_call
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run import folder
from nsfwtrain.run.epochs import Epochs, balanced_weights
from nsfwtrain.run.features import compile_features, forward_batch, open_cache
from nsfwtrain.run.loop import Trainer, score
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.options import Options
from nsfwtrain.run.state import State
from nsfwtrain.variants import Variant


@dataclass
class Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add seconds to stages."""
        for name, more in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + more

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the duration of a block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add({name: time.perf_counter() - started})


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
    """Train one variant, and return the run's facts as in ``run.json``.

    The folder `out` must not hold a run, except an interrupted run that `resume` continues. The
    backbone is a hub handle or a SavedModel folder; None is the variant's handle.

    Raises
    ------
    NsfwScanError
        If the labels, the store, the backbone, the cache or the run's folder cannot be used.
    """
    clock = Clock()
    split = _read_split(split_file, out)
    options = _set_up_tensorflow(options, say)
    facts = _facts(variant, split_file, split, options, backbone)
    with clock.stage("backbone"):
        layer = load_backbone(facts["backbone"], variant.feature_dim)
        facts["backbone_fingerprint"] = fingerprint(facts["backbone"])
    untrained = State(initial_head(variant.feature_dim, options.seed))
    state = folder.begin(out, facts, resume=resume) or untrained
    preprocess = Preprocess(size=variant.image_size)
    arrays = open_cache(cache, variant, options, facts["backbone_fingerprint"], preprocess)
    data, bad = _prepare(split, store, arrays, preprocess, layer, options, clock, say, progress)
    clock.add(state.seconds)
    state.seconds = dict(clock.seconds)
    model = build_model(variant.image_size, layer, state.head)
    forward = model.layers[-1] if options.mode == "features" else model
    size = BatchSize(options.batch_size, say)
    interrupted = _train(model, forward, state, data, options, size, clock, out, say, progress)
    metrics = _evaluate_and_save(model, forward, data, size, clock, out)
    facts |= {
        "counts": _counts(pd.concat([part.assign(type=name) for name, part in data.parts.items()])),
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


def _read_split(split_file: Path, out: Path) -> pd.DataFrame:
    """Read the split. First check the paths, which would otherwise fail after the training."""
    if not split_file.is_file():
        raise LabelError(f"{split_file} is not a regular file; give a split file")
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"TensorFlow writes only to names in UTF-8, not to {out}") from error
    return read_split(split_file)


def _set_up_tensorflow(options: Options, say: Callable[[str], None]) -> Options:
    """Set threads and precision; return the options with the precision in use."""
    if options.mode == "features" and not gpus():
        use_one_thread_per_call()
    mixed = options.mixed_precision and use_mixed_precision()
    if options.mixed_precision and not mixed:
        say("mixed precision is not faster on this machine: using float32")
    return replace(options, mixed_precision=mixed)


def _facts(
    variant: Variant, split_file: Path, split: pd.DataFrame, options: Options, backbone: str | None
) -> dict[str, Any]:
    """Collect the facts that are fixed before the training."""
    return {
        "variant": variant.name,
        "split_sha256": hashlib.sha256(split_file.read_bytes()).hexdigest(),
        "counts": _counts(split),
        "options": vars(options),
        "backbone": backbone or variant.handle,
        "device": [gpu.get("device_name", "GPU") for gpu in gpus()] or ["cpu"],
    }


def _counts(split: pd.DataFrame) -> dict[str, int]:
    counted = balance(split)
    return {f"{part}/{value}": int(counted[value][part]) for part in PARTS for value in LABELS}


def _prepare(
    split: pd.DataFrame,
    store: Path,
    arrays: ArrayCache,
    preprocess: Preprocess,
    layer: Any,
    options: Options,
    clock: Clock,
    say: Callable[[str], None],
    progress: examples.Progress,
) -> tuple[Data, dict[str, str]]:
    """Fill the cache; return the examples, and the reason for each image that was left out."""
    compute: Callable[[Any], Any] = np.asarray
    if (missing := examples.missing(split, arrays)) and options.mode == "features":
        with clock.stage("compilation"):
            compute = compile_features(preprocess.size, layer, say)
    with clock.stage("data"):
        bad = examples.fill(
            arrays, store, missing, preprocess, compute, batch_size=forward_batch(),
            skip_bad=options.skip_bad, progress=progress,
        )  # fmt: skip
        data = examples.collect(split, arrays)
    for reason in bad.values():
        say(f"left out: {reason}")
    return data, bad


def _train(
    model: Any,
    forward: Any,
    state: State,
    data: Data,
    options: Options,
    batch_size: BatchSize,
    clock: Clock,
    out: Path,
    say: Callable[[str], None],
    progress: examples.Progress,
) -> bool:
    """Train the head and set the model's weights; return whether Ctrl-C stopped the training."""
    dense = model.layers[-1]
    clock.add({"training": float(state.history["seconds"].sum())})
    with clock.stage("training"):
        labels = targets(data.parts["train"])
        trainer = Trainer(
            forward,
            dense.trainable_variables,
            learning_rate=options.learning_rate,
            class_weight=balanced_weights(labels) if options.balanced else (1.0, 1.0),
        )
        epochs = Epochs(
            trainer, state, data, options, batch_size, out=out, say=say, progress=progress
        )
        interrupted = epochs.run()
    head = state.best if state.best and (options.patience or interrupted) else state.head
    dense.set_weights(list(head))
    return interrupted


def _evaluate_and_save(
    model: Any, forward: Any, data: Data, batch_size: BatchSize, clock: Clock, out: Path
) -> dict[str, Any]:
    """Score the test part, write model, scores, metrics and plots, and return the metrics."""
    test = data.parts["test"]
    with clock.stage("evaluation"):
        scores = batch_size.run(lambda size: score(forward, data.batches("test", size)))
        metrics = evaluate(targets(test), scores)
    with clock.stage("saving"):
        save_model(out, model)
    with clock.stage("plots"):
        folder.save_evaluation(out, test, scores, metrics)
    return metrics
