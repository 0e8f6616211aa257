"""Keep every core busy: workers decode ahead, threads score what is decoded, the order stays.

Found entries go to `lanes`, threads that each speak with one `Worker`; what is decoded waits in a
short queue for the scorers, which take a batch at a time. The results come out in the order in
which the entries were found. How far anything may run ahead is bounded, and so is the memory.
"""

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nsfwscan.cache import Cache, Verdict
from nsfwscan.errors import PictureError, Reason
from nsfwscan.found import Candidate, Found, LeftAlone, Problem
from nsfwscan.pixels import Picture, Pixels
from nsfwscan.reader import stamp_of
from nsfwscan.tensors import Probabilities
from nsfwscan.worker import Digests, Job, Worker, dismiss, hire

WINDOW = 256
"""Most entries that are taken ahead of the result that is due: what waits is small by then."""

_DECIMALS = 6
_PATIENCE = 0.02
"""Seconds without a picture after which a batch that is not full is scored as it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a scan divides its work.

    Attributes
    ----------
    workers
        Processes that read and decode.
    threads
        Threads that call the model, at the same time.
    batch_size
        Frames that one call scores.
    full
        Whether a call waits until its batch is full, or for what the workers have.
    """

    workers: int
    threads: int
    batch_size: int
    full: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What a score depends on besides a file's bytes.

    Attributes
    ----------
    key
        SHA-256 over all of it.
    model
        SHA-256 of the model, lower-case hex.
    """

    key: bytes
    model: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: a verdict, or the error that stands in its place.

    Attributes
    ----------
    path
        The file, as found.
    verdict, error
        One of them is None.
    sha256, sha1
        Lower-case hex digests; None where the file was not read.
    cached
        Whether an earlier scan found the verdict.
    """

    path: str
    verdict: Verdict | None = None
    error: PictureError | None = None
    sha256: str | None = None
    sha1: str | None = None
    cached: bool = False


Result = Outcome | LeftAlone


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A file whose bytes are known, and whose result is not."""

    path: str
    digests: Digests
    result: "Future[Result]"

    def resolve(self, found: Verdict | PictureError, *, cached: bool) -> None:
        """Give the file its result."""
        verdict, error = (found, None) if isinstance(found, Verdict) else (None, found)
        digests = self.digests
        self.result.set_result(
            Outcome(self.path, verdict, error, digests.sha256, digests.sha1, cached=cached)
        )


class Engine:
    """A scan's machinery, for one run.

    Parameters
    ----------
    job
        How pictures are read and decoded.
    scorer
        Makes, for one thread, what gives the probabilities for pixels.
    cache
        Verdicts found so far.
    question
        What its verdicts are about.
    plan
        How the work is divided.
    rehash
        Read every file anew, even one that looks unchanged.
    """

    def __init__(
        self,
        job: Job,
        scorer: Callable[[], Callable[[Pixels], Probabilities]],
        cache: Cache,
        question: Question,
        plan: Plan,
        *,
        rehash: bool,
    ) -> None:
        self._job = job
        self._scorer = scorer
        self._cache = cache
        self._question = question
        self._plan = plan
        self._rehash = rehash
        self._stopped = threading.Event()
        self._room = threading.Semaphore(WINDOW)
        self._results: queue.SimpleQueue[Result | Future[Result] | BaseException | None]
        self._results = queue.SimpleQueue()
        self._busy: set[Worker] = set()
        self._lanes = ThreadPoolExecutor(plan.workers, thread_name_prefix="lane")
        ahead = 2 * max(plan.threads, plan.batch_size)
        self._decoded: queue.Queue[tuple[str, Picture] | None] = queue.Queue(ahead)
        self._flights: dict[str, list[_Waiting]] = {}
        self._flights_lock = threading.Lock()
        self._gathering = threading.Lock()

    def run(self, found: Iterator[Found]) -> Generator[Result]:
        """Yield what becomes of each entry, in order. Closing the generator ends all work."""
        feeder = threading.Thread(target=self._feed, args=[found], name="discover", daemon=True)
        scorers = [
            threading.Thread(target=self._score_batches, name="score")
            for _ in range(self._plan.threads)
        ]
        for thread in (feeder, *scorers):
            thread.start()
        try:
            while (result := self._results.get()) is not None:
                if isinstance(result, BaseException):
                    raise result
                yield result.result() if isinstance(result, Future) else result
                self._room.release()
        finally:
            self._stopped.set()
            self._room.release()
            # It ends at the next entry; only one that waits for a list to go on is left behind.
            feeder.join(timeout=0.5)
            self._lanes.shutdown(wait=False, cancel_futures=True)
            for worker in self._busy.copy():
                worker.kill()
            self._lanes.shutdown(wait=True)
            self._decoded.put(None)
            for thread in scorers:
                thread.join()

    def _feed(self, found: Iterator[Found]) -> None:
        end: BaseException | None = None
        try:
            for entry in found:
                self._room.acquire()
                if self._stopped.is_set():
                    break
                self._results.put(self._begin(entry))
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are taken
            end = error
        finally:
            self._results.put(end)

    def _begin(self, entry: Found) -> "Result | Future[Result]":
        """Give the result that is known already, or the promise of one."""
        if not isinstance(entry, Candidate):
            return _as_result(entry)
        known = self._recall(entry)
        if known is not None:
            return known
        result: Future[Result] = Future()
        self._lanes.submit(self._examine, entry, result)
        return result

    def _examine(self, entry: Candidate, result: "Future[Result]") -> None:
        """Find out what a file is; resolve its result, or have it scored."""
        try:
            worker = hire()
            self._busy.add(worker)
            try:
                self._decode(worker, entry, result)
            finally:
                self._busy.discard(worker)
                dismiss(worker)
        except PictureError as error:
            result.set_result(Outcome(entry.path, error=error))
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are taken
            result.set_exception(error)

    def _recall(self, entry: Candidate) -> Outcome | None:
        if self._rehash:
            return None

        def stamp() -> tuple[int, ...] | None:
            try:
                return stamp_of(os.stat(entry.path, follow_symlinks=entry.named))
            except (OSError, ValueError):
                return None  # reading it will say what is wrong

        known = self._cache.recall(entry.path, stamp, self._question.key)
        if known is None:
            return None
        return Outcome(
            entry.path, known.verdict, None, known.sha256, known.sha1, cached=known.earlier
        )

    def _decode(self, worker: Worker, entry: Candidate, result: "Future[Result]") -> None:
        seen = worker.read(entry, self._job.max_filesize)
        if not isinstance(seen, Digests):
            result.set_result(_as_result(seen))
            return
        if seen.stamp is not None and self._cache.path is not None:
            self._cache.remember(entry.path, seen.stamp, seen.sha256, seen.sha1)
        waiting = _Waiting(entry.path, seen, result)
        with self._flights_lock:
            known = self._cache.find(seen.sha256, seen.sha1, self._question.key)
            if known is None:
                flight = self._flights.setdefault(seen.sha256, [])
                flight.append(waiting)
                if len(flight) > 1:
                    return  # the same bytes are under way
        if known is not None:
            waiting.resolve(known.verdict, cached=known.earlier)
            return
        try:
            picture = worker.decode(self._job)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is these files' result
            self._land(seen.sha256, error)
            return
        self._decoded.put((seen.sha256, picture))

    def _score_batches(self) -> None:
        score: Callable[[Pixels], Probabilities] | None = None
        while batch := self._gather():
            digests, pictures = zip(*batch, strict=True)
            verdicts: Sequence[Verdict | BaseException]
            try:
                score = score or self._scorer()
                verdicts = _verdicts(pictures, score)
                good = [
                    (sha256, verdict)
                    for sha256, verdict in zip(digests, verdicts, strict=True)
                    if isinstance(verdict, Verdict)
                ]
                self._cache.store(good, self._question.key, self._question.model)
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                verdicts = [error for _ in batch]
            for sha256, verdict in zip(digests, verdicts, strict=True):
                self._land(sha256, verdict)

    def _gather(self) -> list[tuple[str, Picture]]:
        """Wait for a batch; nothing at the end. One thread at a time, so that batches fill up."""
        batch: list[tuple[str, Picture]] = []
        frames = 0
        with self._gathering, contextlib.suppress(queue.Empty):
            while frames < self._plan.batch_size:
                wait = None if not batch else _PATIENCE if self._plan.full else 0
                item = self._decoded.get(block=wait != 0, timeout=wait)
                if item is None:
                    self._decoded.put(None)  # for the next thread too
                    break
                batch.append(item)
                frames += len(item[1].pixels)
        return batch

    def _land(self, sha256: str, found: Verdict | BaseException) -> None:
        """Resolve all files whose bytes are these."""
        with self._flights_lock:
            flight = self._flights.pop(sha256)
        for waiting in flight:
            if isinstance(found, (Verdict, PictureError)):
                waiting.resolve(found, cached=False)
            else:
                waiting.result.set_exception(found)


def _as_result(entry: LeftAlone | Problem) -> Result:
    if isinstance(entry, LeftAlone):
        return entry
    return Outcome(entry.path, error=PictureError(entry.reason, entry.detail))


def _verdicts(
    pictures: tuple[Picture, ...], score: Callable[[Pixels], Probabilities]
) -> list[Verdict | PictureError]:
    pixels = [picture.pixels for picture in pictures]
    scores = iter(score(pixels[0] if len(pixels) == 1 else np.concatenate(pixels)))
    verdicts: list[Verdict | PictureError] = []
    for picture in pictures:
        frames = [float(next(scores)) for _ in picture.pixels]
        if any(map(math.isnan, frames)):
            verdicts.append(PictureError(Reason.UNSCORED, "the model gave no number for it"))
            continue
        # Rounded before it is compared, so that a record agrees with itself.
        best = round(max(frames), _DECIMALS)
        verdicts.append(Verdict(best, picture.width, picture.height, len(frames)))
    return verdicts
