"""Train one variant: data, features, head, evaluation. All results go into the run's folder.

::

    nsfwtrain fit b0 --store STORE --split SPLIT --out RUN

In features mode each image passes the frozen backbone once, and the head learns from the cached
feature vectors. In end-to-end mode every epoch passes the pixels, as in the published study. Both
take the same batches in the same order from the same first weights, and give the same model.
The published B0 took 9m48.603s for 10 epochs on a GTX 1070, and got 0.8516 on its test images.
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
        """Add to the time of some stages."""
        for name, more in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + more

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block."""
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
    """Train one variant.

    Parameters
    ----------
    out
        The run's folder. It holds no run, or with `resume` an interrupted one to continue.
    backbone
        A hub handle or a SavedModel folder; None is the variant's handle.
    cache
        Folder of the caches, shared between runs.
    say, progress
        Take lines for a user, and how much is done.

    Returns
    -------
    dict
        The run's facts, as in ``run.json``.

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
    state = folder.begin(out, facts, resume=resume)
    preprocess = Preprocess(size=variant.image_size)
    arrays = open_cache(cache, variant, options, facts["backbone_fingerprint"], preprocess)
    compute: Callable[[Any], Any] = np.asarray
    if (missing := examples.missing(split, arrays)) and options.mode == "features":
        with clock.stage("compilation"):
            compute = compile_features(variant, layer, say)
    with clock.stage("data"):
        bad = examples.fill(
            arrays, store, missing, preprocess, compute, batch_size=forward_batch(),
            skip_bad=options.skip_bad, progress=progress,
        )  # fmt: skip
        data = examples.collect(split, arrays)
    for reason in bad.values():
        say(f"left out: {reason}")
    if state is None:
        state = State(initial_head(variant.feature_dim, options.seed))
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
    """Read the split, and check at once what would fail late."""
    if not split_file.is_file():
        raise LabelError(f"{split_file} is no file that can be read twice; name a split file")
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"TensorFlow writes only to names in UTF-8, not to {out}") from error
    return read_split(split_file)


def _set_up_tensorflow(options: Options, say: Callable[[str], None]) -> Options:
    """Set threads and precision; give the options with the precision that is in use."""
    if options.mode == "features" and not gpus():
        use_one_thread_per_call()
    mixed = options.mixed_precision and use_mixed_precision()
    if options.mixed_precision and not mixed:
        say("no GPU here gains from mixed precision: going on in float32")
    return replace(options, mixed_precision=mixed)


def _facts(
    variant: Variant, split_file: Path, split: pd.DataFrame, options: Options, backbone: str | None
) -> dict[str, Any]:
    """Give the facts of a run that do not depend on its outcome."""
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
    """Train the head and put the weights to keep into the model; tell if Ctrl-C stopped it."""
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
    """Score the test part and write model, scores, metrics and plots; give the metrics."""
    test = data.parts["test"]
    with clock.stage("evaluation"):
        scores = batch_size.run(lambda size: score(forward, data.batches("test", size)))
        metrics = evaluate(targets(test), scores)
    with clock.stage("saving"):
        save_model(out, model)
    with clock.stage("plots"):
        folder.save_evaluation(out, test, scores, metrics)
    return metrics
