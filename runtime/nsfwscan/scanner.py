"""Scan files and folders: one record for each image, as they come, in bounded memory."""

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from nsfwscan.cache.layers import CascadeCache
from nsfwscan.cache.score import CacheKey
from nsfwscan.cache.store import Cache
from nsfwscan.decision import is_flagged
from nsfwscan.decoding.parameters import REVISION, Preprocess
from nsfwscan.errors import ModelError
from nsfwscan.inference.classifier import Classifier
from nsfwscan.inference.companion import cascade_of
from nsfwscan.inference.manifest import Manifest, OutputSpec
from nsfwscan.inference.scoring import Scorer, score_images, score_twice
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.batching import Plan
from nsfwscan.pipeline.engine import Engine
from nsfwscan.pipeline.inflight import Outcome, Result
from nsfwscan.record import Record
from nsfwscan.sources.entry import Entry, Problem, Skipped, Source
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.selection import Selection
from nsfwscan.sources.shard import Shard, share
from nsfwscan.sources.walk import discover
from nsfwscan.util.escape import to_json
from nsfwscan.util.parallel import available_cores

_MODEL_DIGITS = 12


class Scan(Iterator[Record]):
    """A scan in progress: an iterator of records and a context manager. Made by `scan`.

    Attributes
    ----------
    threshold : float
        The threshold in use, in [0, 1].
    options : ScanOptions
        The options in use, automatic ones resolved.
    skipped : collections.Counter of Kind
        What was skipped so far, by kind.
    examined : int
        How many entries are finished: records given and entries skipped.
    """

    def __init__(
        self,
        records: Generator[Record],
        skipped: Counter[Kind],
        threshold: float,
        options: ScanOptions,
    ) -> None:
        self._records = records
        self._given = 0
        self.skipped = skipped
        self.threshold = threshold
        self.options = options

    def __next__(self) -> Record:
        """Give the next record."""
        record = next(self._records)
        self._given += 1
        return record

    def __enter__(self) -> "Scan":
        """Give the scan itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the scan."""
        self.close()

    def close(self) -> None:
        """End the scan: no further file is read, and all threads of the scan have ended."""
        self._records.close()

    @property
    def examined(self) -> int:
        """How many entries are finished."""
        return self._given + self.skipped.total()


def scan(
    paths: Source | Iterable[Source],
    classifier: Classifier,
    *,
    fast: Classifier | None = None,
    options: ScanOptions | None = None,
    threshold: float | str | None = None,
    uncertain_below: float = 0.0,
    cache: Cache | None = None,
    rehash: bool = False,
    classes: bool = False,
    selection: Selection | None = None,
    shard: Shard | None = None,
    on_skipped: Callable[[Skipped], None] | None = None,
    **changes: Any,
) -> Scan:
    """Scan files, folders and URLs for images and score them.

    Parameters
    ----------
    paths
        Files, folders, URLs and entries, or one of them. An iterator is consumed as the scan
        proceeds.
    classifier
        The model.
    fast
        A fast model made from `classifier`, both on the CPU. It scores first, and `classifier`
        scores again what may be on the other side of the threshold. None: `classifier` scores all.
    options
        Limits, frames and the division of the work; None for the defaults.
    threshold
        Score in [0, 1] from which an image is flagged, or the name of one of the model's operating
        points, such as ``strict``; None for the model's own.
    uncertain_below
        Score in [0, 1] below which a flagged image is uncertain.
    cache
        Scores of earlier scans; the scan adds its own. None keeps nothing. The caller closes it.
    rehash
        Whether to read every file, even one that is unchanged since the cache stored it. Its
        score is then used only if the bytes are the same.
    classes
        Whether records have the probabilities of the classes that the model's manifest names.
    selection
        Which files below folders are scanned; None for all but hidden and ignored ones.
    shard
        The share of what is found that is scanned; the rest is neither read nor counted. None for
        all.
    on_skipped
        Called with each entry that is not scored because it is not an image or not selected.
    **changes
        Fields of `ScanOptions` that differ from `options`.

    Returns
    -------
    Scan
        An iterator of `Record` in the order in which the files are found: one for each image,
        and one for each entry that may be an image and cannot be read.

    Raises
    ------
    ValueError
        If a number is out of range, or the model has no threshold of this name.
    TypeError
        If there is no such option.
    ModelError
        If the manifest names no classes, and `classes` asks for them, or if `fast` was not made
        from `classifier`.
    """
    options = replace(options or ScanOptions(), **changes)
    manifest = classifier.manifest
    threshold = threshold_of(manifest, threshold)
    if not 0 <= uncertain_below <= 1:
        raise ValueError(f"uncertain_below must be in [0, 1], got {uncertain_below}")
    names = names_of(manifest, classes=classes)
    preprocess = preprocess_of(manifest, options)
    plan = plan_of(classifier, options)
    key_of = partial(_cache_key, preprocess=preprocess, options=options)
    scorer: Callable[[], Scorer] = partial(scorer_of, classifier, plan)
    kept: Cache | CascadeCache | None = cache
    if fast is not None:
        thresholds = [threshold, max(threshold, uncertain_below)]
        interval = cascade_of(classifier, fast).interval(thresholds)
        scorer = partial(_cascade_scorer, fast, classifier, plan, interval)
        kept = None if cache is None else CascadeCache(cache, key_of(fast), interval)
    engine = Engine(
        preprocess, options, plan, scorer, cache=kept, key=key_of(classifier), rehash=rehash
    )
    skipped: Counter[Kind] = Counter()
    if isinstance(paths, (str, os.PathLike, Entry, Problem)):
        paths = [paths]
    found = discover(paths, selection or Selection(), options.timeout)
    results = engine.run(share(found, shard))
    judge = partial(record_of, classifier, threshold, uncertain_below, names)
    records = _records(results, judge, skipped, on_skipped)
    resolved = replace(
        options, workers=plan.workers, threads=plan.threads, batch_size=plan.batch_size
    )
    return Scan(records, skipped, threshold, resolved)


def threshold_of(manifest: Manifest, threshold: float | str | None) -> float:
    """Resolve the threshold of a scan.

    Raises
    ------
    ValueError
        If it is out of range, or the model has no threshold of this name.
    """
    if threshold is None:
        return manifest.threshold
    if isinstance(threshold, str):
        return manifest.threshold_named(threshold)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    return threshold


def names_of(manifest: Manifest, *, classes: bool) -> tuple[str, ...]:
    """Return the classes whose probabilities the records have.

    Raises
    ------
    ModelError
        If the manifest names no classes, and `classes` asks for them.
    """
    if classes and not manifest.output.classes:
        raise ModelError(
            f"the manifest of {manifest.name} names no classes, so their probabilities cannot be "
            "told: leave --classes out"
        )
    return manifest.output.classes if classes else ()


def preprocess_of(manifest: Manifest, options: ScanOptions) -> Preprocess:
    """Return the parameters of decoding for a model and the options of a scan."""
    if options.exact:
        return replace(manifest.preprocess, jpeg_draft_margin=None)
    return manifest.preprocess


def scorer_of(classifier: Classifier, plan: Plan) -> Scorer:
    """Return the function of one thread from images to scores."""
    predict = classifier.bound(plan.batch_size) if plan.pad_batches else classifier.predictions
    return partial(score_images, predict=predict, batch_size=plan.batch_size)


def _cascade_scorer(
    fast: Classifier, original: Classifier, plan: Plan, interval: tuple[float, float]
) -> Scorer:
    """Return the function of one thread from images to scores of two models."""
    first, again = scorer_of(fast, plan), scorer_of(original, plan)
    return partial(score_twice, fast=first, original=again, interval=interval)


def plan_of(classifier: Classifier, options: ScanOptions) -> Plan:
    """Resolve the automatic options."""
    on_gpu = classifier.device != "cpu"
    cores = available_cores()
    if on_gpu:
        threads, batch_size = 2, 32
    else:
        threads = max(1, cores // classifier.intra_op_threads)
        batch_size = _cpu_batch(classifier.manifest.preprocess.size)
    return Plan(
        workers=options.workers or cores,
        threads=options.threads or threads,
        batch_size=options.batch_size or batch_size,
        pad_batches=on_gpu,
    )


def _cpu_batch(size: int) -> int:
    """Choose how many frames of side `size` one call scores on the CPU.

    Measured on two threads: calls of two small images are 5 % faster than calls of one. Calls of
    four are as slow as one for a B0, and another 1 % faster for open_nsfw.
    """
    return max(1, 2 * 224**2 // size**2)


def _cache_key(classifier: Classifier, preprocess: Preprocess, options: ScanOptions) -> CacheKey:
    """Collect everything that a score depends on besides a file's bytes."""
    manifest = classifier.manifest
    parameters = asdict(preprocess)
    # The name that version 0.1.0 wrote, so that its caches still hit.
    parameters["draft_margin"] = parameters.pop("jpeg_draft_margin")
    facts = {
        "revision": REVISION,
        "model": classifier.sha256,
        "input": asdict(manifest.input),
        "output": _output_facts(manifest.output),
        "preprocess": parameters,
        "frames": options.frames,
        "views": options.views,
        "max_pixels": options.max_pixels,  # a larger image must not have a score
        "device": classifier.device.partition(":")[0],
        "tf32": classifier.tf32,
    }
    digest = hashlib.sha256(to_json(facts).encode()).digest()
    return CacheKey(digest, classifier.sha256, scan=secrets.randbits(63))


def _output_facts(spec: OutputSpec) -> dict[str, Any]:
    """Return the fields of an output without those that version 0.1.0 lacked and that say nothing.

    So its caches still hit.
    """
    facts = asdict(spec)
    if not spec.classes:
        for name in ("classes", "counted", "reduction"):
            del facts[name]
    return facts


def _records(
    results: Generator[Result],
    judge: Callable[[Outcome], Record],
    skipped: Counter[Kind],
    on_skipped: Callable[[Skipped], None] | None,
) -> Generator[Record]:
    with closing(results):
        for result in results:
            if isinstance(result, Outcome):
                yield judge(result)
            else:
                skipped[result.kind] += 1
                if on_skipped is not None:
                    on_skipped(result)


def record_of(
    classifier: Classifier,
    threshold: float,
    uncertain_below: float,
    names: tuple[str, ...],
    outcome: Outcome,
) -> Record:
    """Make the record of an outcome.

    Parameters
    ----------
    classifier
        The model that scored it.
    threshold, uncertain_below
        As in `scan`, resolved.
    names
        The classes whose probabilities the record has; none for no probabilities.
    outcome
        A score or an error.
    """
    score, error = outcome.score, outcome.error
    value = None if score is None else score.value
    of_classes = None if score is None or not names else score.classes
    flagged = value is not None and is_flagged(value, threshold)
    return Record(
        path=outcome.location,
        status="error" if value is None else "flagged" if flagged else "safe",
        score=value,
        threshold=threshold,
        reason=None if error is None else error.reason,
        detail=None if error is None else error.detail,
        sha256=outcome.sha256,
        sha1=outcome.sha1,
        width=None if score is None else score.width,
        height=None if score is None else score.height,
        frames=0 if score is None else score.frames,
        model=classifier.sha256[:_MODEL_DIGITS],
        device=classifier.device,
        cached=outcome.cached,
        views=0 if score is None else score.views,
        frame=None if score is None else score.frame,
        total_frames=None if score is None else score.total_frames,
        uncertain=value is not None and flagged and not is_flagged(value, uncertain_below),
        classes=None if of_classes is None else dict(zip(names, of_classes, strict=True)),
        precision=None if score is None else score.precision,
    )
