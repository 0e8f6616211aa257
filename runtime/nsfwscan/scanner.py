"""Scan files and folders: one record for each image, as they come, in bounded memory."""

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, replace

from nsfwscan.cache.store import Cache, Question
from nsfwscan.decoding.parameters import REVISION, Preprocess
from nsfwscan.inference.classifier import Classifier
from nsfwscan.limits import (
    FRAMES,
    LEAST_MEMORY,
    LEAST_TIMEOUT,
    MAX_FILESIZE,
    MAX_MEMORY,
    MAX_PIXELS,
    TIMEOUT,
    ScanOptions,
)
from nsfwscan.pipeline.engine import Engine, Plan
from nsfwscan.pipeline.inflight import Outcome, Result
from nsfwscan.record import Record
from nsfwscan.sources.entry import Found, Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.selection import Selection
from nsfwscan.sources.walk import discover
from nsfwscan.util.escape import to_json
from nsfwscan.util.parallel import available_cores

_MODEL_DIGITS = 12


class Scan(Iterator[Record]):
    """A scan under way: iterate over it for its records. Made by `scan`.

    Attributes
    ----------
    settings : mapping of str to object
        The options in use, those chosen automatically included, by name.
    skipped : collections.Counter of Kind
        What was found so far and is no image, or was not wanted.
    examined : int
        How many entries are done with: records given and entries skipped.
    """

    def __init__(
        self, records: Generator[Record], skipped: Counter[Kind], settings: Mapping[str, object]
    ) -> None:
        self._records = records
        self._given = 0
        self.skipped = skipped
        self.settings = settings

    def __next__(self) -> Record:
        """Give the next record."""
        record = next(self._records)
        self._given += 1
        return record

    def close(self) -> None:
        """End the scan: no further file is begun, and the worker threads are gone."""
        self._records.close()

    @property
    def examined(self) -> int:
        """How many entries are done with."""
        return self._given + self.skipped.total()


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    classifier: Classifier,
    *,
    threshold: float | None = None,
    frames: int = FRAMES,
    exact: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_filesize: int = MAX_FILESIZE,
    timeout: float = TIMEOUT,
    max_memory: int = MAX_MEMORY,
    cache: Cache | None = None,
    rehash: bool = False,
    selection: Selection | None = None,
    on_skipped: Callable[[Skipped], None] | None = None,
) -> Scan:
    """Scan files and folders for images and score them.

    Parameters
    ----------
    paths
        Files and folders, or one of them. An iterator is consumed as the scan goes on.
    classifier
        The model.
    threshold
        Score in [0, 1] from which an image is flagged; None is the model's own.
    frames
        Most frames of an animation to score, 1 or more.
    exact
        Decode JPEG files in full, whatever the model's `Preprocess` allows.
    batch_size
        Most frames that the model scores at a time; None is 2 on the CPU, 1 where they are larger
        than 224 x 224, and 32 on a GPU.
    workers
        Processes that read and decode; None is one a core that is granted to this process.
    threads
        Threads that call the model at the same time; None is one a core on the CPU, as far as a
        call takes one thread itself, and 2 on a GPU: while one batch runs, the next is uploaded.
    max_pixels
        Most pixels (width x height) that an image may have.
    max_filesize
        Most bytes that an image file may have.
    timeout
        Most seconds that reading and decoding one file may take, `LEAST_TIMEOUT` or more; its
        process is ended then.
    max_memory
        Most bytes of memory (address space) that a process which decodes may take, `LEAST_MEMORY`
        or more; heeded where the system can hold a process to it, as Linux does.
    cache
        What earlier scans found, and where to keep what this one finds; None keeps nothing. The
        caller closes it.
    rehash
        Read every file, even one that looks unchanged since the cache met it: its scores are then
        used only for bytes that are the same.
    selection
        Which files below folders are wanted; None is all but hidden and ignored ones.
    on_skipped
        Called with each entry that is no image, or not wanted.

    Returns
    -------
    Scan
        An iterator of `Record`, in the order in which the files are found: one for each image,
        and one for each entry that may be an image and could not be looked into.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    if threshold is None:
        threshold = classifier.manifest.threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    preprocess, cores = classifier.manifest.preprocess, available_cores()
    on_cpu = classifier.device == "cpu"
    numbers = {
        "frames": frames,
        "batch_size": _default(batch_size, _cpu_batch(preprocess.size) if on_cpu else 32),
        "workers": _default(workers, cores),
        "threads": _default(threads, max(1, cores // classifier.intra_op_threads) if on_cpu else 2),
        "max_pixels": max_pixels,
        "max_filesize": max_filesize,
    }
    if not timeout >= LEAST_TIMEOUT:
        raise ValueError(f"timeout must be {LEAST_TIMEOUT} or more, got {timeout}")
    if not max_memory >= LEAST_MEMORY:
        raise ValueError(f"max_memory must be {LEAST_MEMORY} or more, got {max_memory}")
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    options = ScanOptions(
        frames=frames,
        max_pixels=max_pixels,
        max_filesize=max_filesize,
        max_memory=max_memory,
        timeout=timeout,
    )
    if exact:
        preprocess = replace(preprocess, jpeg_draft_margin=None)
    plan = Plan(
        workers=numbers["workers"],
        threads=numbers["threads"],
        batch_size=numbers["batch_size"],
        full=not on_cpu,
    )
    skipped: Counter[Kind] = Counter()
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    found = discover(paths, selection or Selection())
    results = _results(found, classifier, preprocess, options, plan, cache, rehash=rehash)
    records = _records(results, classifier, threshold, skipped, on_skipped)
    settings = {
        "threshold": threshold,
        "exact": exact,
        "timeout": timeout,
        "max_memory": max_memory,
        **numbers,
    }
    return Scan(records, skipped, settings)


def _cpu_batch(size: int) -> int:
    """Choose how many frames of a side of `size` one call scores at most.

    On two threads, calls of two small images are a twentieth faster than calls of one. With four,
    a B0 loses that again, and open_nsfw gains a hundredth.
    """
    return max(1, 2 * 224**2 // size**2)


def _default(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


def _results(
    found: Iterator[Found],
    classifier: Classifier,
    preprocess: Preprocess,
    options: ScanOptions,
    plan: Plan,
    cache: Cache | None,
    *,
    rehash: bool,
) -> Generator[Result]:
    """Run the engine, with a cache of this scan's own if there is no other."""
    with nullcontext(cache) if cache is not None else closing(Cache()) as in_use:
        engine = Engine(
            preprocess,
            options,
            lambda: classifier.bound(plan.batch_size) if plan.full else classifier.predict,
            in_use,
            _question(classifier, preprocess, options),
            plan,
            rehash=rehash or cache is None,  # a cache of this scan alone knows no earlier file
        )
        with closing(engine.run(found)) as results:
            yield from results


def _question(classifier: Classifier, preprocess: Preprocess, options: ScanOptions) -> Question:
    """Bring together all that a score depends on besides a file's bytes."""
    manifest = classifier.manifest
    steps = asdict(preprocess)
    # The name that version 0.1.0 wrote, so that its caches are still used.
    steps["draft_margin"] = steps.pop("jpeg_draft_margin")
    facts = {
        "revision": REVISION,
        "model": classifier.sha256,
        "input": asdict(manifest.input),
        "output": asdict(manifest.output),
        "preprocess": steps,
        "frames": options.frames,
        "max_pixels": options.max_pixels,  # what is refused must not have a score
        "device": classifier.device.partition(":")[0],
        "tf32": classifier.tf32,
    }
    key = hashlib.sha256(to_json(facts).encode()).digest()
    return Question(key, classifier.sha256, scan=secrets.randbits(63))


def _records(
    results: Generator[Result],
    classifier: Classifier,
    threshold: float,
    skipped: Counter[Kind],
    notice: Callable[[Skipped], None] | None,
) -> Generator[Record]:
    with closing(results):
        for result in results:
            if isinstance(result, Outcome):
                yield _record(result, classifier, threshold)
            else:
                skipped[result.kind] += 1
                if notice is not None:
                    notice(result)


def _record(outcome: Outcome, classifier: Classifier, threshold: float) -> Record:
    verdict, error = outcome.verdict, outcome.error
    score = None if verdict is None else verdict.score
    return Record(
        path=outcome.path,
        status="error" if score is None else "flagged" if score >= threshold else "safe",
        score=score,
        threshold=threshold,
        reason=None if error is None else error.reason,
        detail=None if error is None else error.detail,
        sha256=outcome.sha256,
        sha1=outcome.sha1,
        width=None if verdict is None else verdict.width,
        height=None if verdict is None else verdict.height,
        frames=0 if verdict is None else verdict.frames,
        model=classifier.sha256[:_MODEL_DIGITS],
        device=classifier.device,
        cached=outcome.cached,
    )
