"""Train one variant: data, features, head, evaluation. All results go into the run's folder.

::

    nsfwtrain fit b0 --store STORE --split SPLIT --out RUN

Each image passes through the frozen backbone once, and the head learns from the cached feature
vectors: `nsfwtrain.run.converged` solves for it, `nsfwtrain.run.study` trains it as the published
study did. The study's end-to-end mode passes all pixels through the backbone in every epoch.
`nsfwtrain.variants` has the time and the accuracy that the study published.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import LABELS
from nsfwscan.errors import LabelError
from nsfwscan.reports.progress import Progress, no_progress
from nsfwtrain.data import examples
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.examples import Data
from nsfwtrain.data.lock import held
from nsfwtrain.data.names import read_names
from nsfwtrain.data.objects import lost_objects
from nsfwtrain.data.origins import origins_of
from nsfwtrain.data.similarity import groups, hashes_of
from nsfwtrain.data.split import read_usable_split
from nsfwtrain.data.tables import targets
from nsfwtrain.errors import RunError
from nsfwtrain.model.backbone import fingerprint, load_backbone
from nsfwtrain.model.classifier import build_model, save_model
from nsfwtrain.model.head import initial_head
from nsfwtrain.model.keras import gpus, use_mixed_precision, use_one_thread_per_call
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run import folder
from nsfwtrain.run.clock import Clock
from nsfwtrain.run.converged import compared_rows, solve_head
from nsfwtrain.run.features import compile_features, forward_batch, open_cache
from nsfwtrain.run.left_out import counts_of, left_out_facts
from nsfwtrain.run.loop import score
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.options import Converged, Options, Study
from nsfwtrain.run.state import State
from nsfwtrain.run.study import train_head
from nsfwtrain.run.weights import assumed_prevalence, for_equal_frequencies, share
from nsfwtrain.variants import Variant

Say = Callable[[str], None]


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
    say: Say = print,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train one variant, and return the run's facts as in ``run.json``.

    The folder `out` must not hold a run, except an interrupted run that `resume` continues. The
    backbone is a hub handle or a SavedModel folder; None is the variant's handle.

    Raises
    ------
    NsfwScanError
        If the labels, the store, the backbone, the cache or the run's folder cannot be used.
    """
    _check_name(out)
    split = read_usable_split(split_file)
    folder.check_place(out, () if resume else (split_file,))  # to resume, it may read its own split
    with held(out):
        options = _set_up_tensorflow(options, say)
        facts = _facts(variant, store, split_file, split, options, backbone)
        return _fit(
            variant, store, split, out, options, facts, cache=cache, resume=resume, say=say,
            progress=progress,
        )  # fmt: skip


def _fit(
    variant: Variant,
    store: Path,
    split: pd.DataFrame,
    out: Path,
    options: Options,
    facts: dict[str, Any],
    *,
    cache: Path,
    resume: bool,
    say: Say,
    progress: Progress,
) -> dict[str, Any]:
    """Train in a folder that is held, from the facts that are fixed before."""
    clock = Clock()
    lost = lost_objects(split, store, cache, skip_bad=options.skip_bad, progress=progress)
    usable = split[~split["objectId"].isin(lost)]
    near = _near_duplicates(usable, store, cache, options, facts["labels"], progress)
    with clock.stage("backbone"), progress("loading the backbone", None):
        layer = load_backbone(facts["backbone"], variant.feature_dim)
        facts["backbone_fingerprint"] = fingerprint(facts["backbone"])
    untrained = State(initial_head(variant.feature_dim, options.seed))
    state = folder.begin(out, facts, split, resume=resume) or untrained
    preprocess = Preprocess(size=variant.image_size)
    arrays = open_cache(cache, variant, options, facts["backbone_fingerprint"], preprocess)
    missing = examples.missing(usable, arrays)
    data, bad = _prepare(
        usable, store, arrays, missing, preprocess, layer, options, clock, say, progress
    )
    state.prepared += len(missing) - len(bad)
    facts |= left_out_facts(split, lost | bad)
    for reason in facts["left_out"].values():
        say(f"left out: {reason}")
    model = build_model(variant.image_size, layer, state.head)
    forward = model.layers[-1] if options.mode == "features" else model
    if isinstance(options.recipe, Study):
        size = BatchSize(min([options.recipe.batch_size, *state.batch_sizes]), say)
        learned = _train(
            model,
            forward,
            state,
            data,
            options.recipe,
            options,
            size,
            clock,
            out,
            say,
            progress,
        )
    else:
        size = BatchSize(variant.batch_size, say)
        learned = _solve(model, data, options.recipe, near, clock, out, say, progress)
    facts |= learned
    metrics = _evaluate_and_save(model, forward, data, size, clock, out, facts, store, progress)
    facts |= {
        "metrics": metrics,
        "images": {
            "prepared": state.prepared,
            "cached": sum(facts["counts"].values()) - state.prepared,
        },
        "parameters": model.count_params(),
        "preprocess": vars(preprocess),
        "seconds": clock.seconds,
    }
    folder.finish(out, facts)
    return facts


def _check_name(out: Path) -> None:
    """Refuse a name that would otherwise fail after the training."""
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"TensorFlow writes only to names in UTF-8, not to {out}") from error


def _set_up_tensorflow(options: Options, say: Say) -> Options:
    """Set threads and precision; return the options with the precision in use."""
    if options.mode == "features" and not gpus():
        use_one_thread_per_call()
    mixed = options.mixed_precision and use_mixed_precision()
    if options.mixed_precision and not mixed:
        say("mixed precision is not faster on this machine: using float32")
    return replace(options, mixed_precision=mixed)


def _facts(
    variant: Variant,
    store: Path,
    split_file: Path,
    split: pd.DataFrame,
    options: Options,
    backbone: str | None,
) -> dict[str, Any]:
    """Collect the facts that are fixed before the training."""
    return {
        "variant": variant.name,
        "labels": list(read_names(store)),
        "split_sha256": hashlib.sha256(split_file.read_bytes()).hexdigest(),
        "counts": counts_of(split),
        "options": options.facts(),
        "backbone": backbone or variant.handle,
        "device": [gpu.get("device_name", "GPU") for gpu in gpus()] or ["cpu"],
    }


def _near_duplicates(
    split: pd.DataFrame,
    store: Path,
    cache: Path,
    options: Options,
    names: Sequence[str],
    progress: Progress,
) -> pd.Series:
    """Give the images that are cross-validated a number; near-duplicates have the same.

    Raises
    ------
    LabelError
        If all images of a label are near-duplicates.
    """
    rows = compared_rows(split) if isinstance(options.recipe, Converged) else split.head(0)
    hashes = hashes_of(rows, store, cache, skip_bad=options.skip_bad, progress=progress)
    numbers = pd.Series(groups(hashes, progress=progress), rows["objectId"])
    for value in LABELS:
        some = rows.loc[rows["value"] == value, "objectId"]
        if numbers[some].nunique() == 1:
            raise LabelError(
                f"all {len(some):,} images of label {value} ({names[value]}) are "
                "near-duplicates of one image; add others"
            )
    return numbers


def _prepare(
    split: pd.DataFrame,
    store: Path,
    arrays: ArrayCache,
    missing: Sequence[str],
    preprocess: Preprocess,
    layer: Any,
    options: Options,
    clock: Clock,
    say: Say,
    progress: Progress,
) -> tuple[Data, dict[str, str]]:
    """Fill the cache; return the examples, and the reason for each image that was left out.

    Parameters
    ----------
    missing
        The object IDs that are not in the cache.
    """
    compute: Callable[[Any], Any] = np.asarray
    if missing and options.mode == "features":
        with clock.stage("compilation"), progress("compiling the backbone", None):
            compute = compile_features(preprocess.size, layer, say)
    with clock.stage("data"):
        bad = examples.fill(
            arrays, store, missing, preprocess, compute, batch_size=forward_batch(),
            skip_bad=options.skip_bad, progress=progress,
            label="computing features" if options.mode == "features" else "decoding images",
        )  # fmt: skip
        data = examples.collect(split, arrays)
    return data, bad


def _solve(
    model: Any,
    data: Data,
    recipe: Converged,
    near: pd.Series,
    clock: Clock,
    out: Path,
    say: Say,
    progress: Progress,
) -> dict[str, Any]:
    """Solve for the head and set the model's weights; return the facts."""
    with clock.stage("training"), progress("solving for the head", None):
        solved = solve_head(data, recipe, near)
    model.layers[-1].set_weights(list(solved.head))
    folder.save_history(out, solved.history)
    folder.save_held_out(out, solved.held_out)
    head = solved.facts
    say(
        f"head: strength {head['strength']:.3g}, scale {head['scale']:.2f}, "
        f"chosen on {head['chosen_on']}; "
        f"{head['iterations']} steps, training loss {head['loss']:.4f}, {head['seconds']:.1f} s"
    )
    estimate = None if solved.estimate is None else asdict(solved.estimate)
    prevalence = head["prevalence"]
    return {"head": head, "prevalence": prevalence, "estimate": estimate, "interrupted": False}


def _train(
    model: Any,
    forward: Any,
    state: State,
    data: Data,
    recipe: Study,
    options: Options,
    batch_size: BatchSize,
    clock: Clock,
    out: Path,
    say: Say,
    progress: Progress,
) -> dict[str, Any]:
    """Train the head and set the model's weights; return the facts."""
    clock.add(state.seconds)
    state.seconds = dict(clock.seconds)
    dense = model.layers[-1]
    clock.add({"training": float(state.history["seconds"].sum())})
    with clock.stage("training"):
        head, interrupted = train_head(
            forward, dense.trainable_variables, state, data, recipe, options.seed, batch_size,
            out=out, say=say, progress=progress,
        )  # fmt: skip
    dense.set_weights(list(head))
    validation = data.parts["validation"]
    with progress("scoring validation images", len(validation)) as advance:
        scores = batch_size.run(
            lambda size: score(forward, data.batches("validation", size), advance)
        )
    folder.save_held_out(out, validation.assign(score=scores))
    prevalence = 0.5 if recipe.balanced else share("train", targets(data.parts["train"]))
    epochs = len(state.history)
    sizes = list(dict.fromkeys(state.batch_sizes))
    return {
        "epochs": epochs, "batch_sizes": sizes, "prevalence": prevalence,
        "interrupted": interrupted,
    }  # fmt: skip


def _evaluate_and_save(
    model: Any,
    forward: Any,
    data: Data,
    batch_size: BatchSize,
    clock: Clock,
    out: Path,
    facts: dict[str, Any],
    store: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Score the test part, write model, scores, metrics and plots, and return the metrics."""
    test = data.parts["test"]
    with clock.stage("evaluation"), progress("scoring test images", len(test)) as advance:
        scores = batch_size.run(lambda size: score(forward, data.batches("test", size), advance))
        balanced = for_equal_frequencies(scores, assumed_prevalence(facts))
        metrics = evaluate(targets(test), balanced)
    with clock.stage("saving"), progress("saving the model", None):
        save_model(out, model)
    with clock.stage("plots"), progress("drawing the plots", None):
        rows = test.assign(score=scores, path=origins_of(test, store))
        folder.save_evaluation(out, rows, balanced, metrics, facts["labels"])
    return metrics
