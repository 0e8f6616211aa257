"""Keep every core busy: workers decode ahead, threads score what is decoded, the order stays.

Found entries go to `lanes`, threads that each speak with one `Worker`; what is decoded waits in a
short queue for the scorers, which take a batch at a time. The results come out in the order in
which the entries were found. How far anything may run ahead is bounded, and so is the memory.
"""

import atexit
import contextlib
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from nsfwscan.cache.store import Cache, Question, Verdict
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.pixels import DecodedImage, Pixels
from nsfwscan.decoding.protocol import Digests
from nsfwscan.decoding.worker import Worker
from nsfwscan.decoding.worker_pool import acquire, release
from nsfwscan.errors import EngineError, ImageError, Reason
from nsfwscan.inference.tensors import Probabilities
from nsfwscan.limits import LEAST_TIMEOUT, ScanOptions
from nsfwscan.pipeline.inflight import Flights, Outcome, Result
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped

WINDOW = 256
"""Most entries that are taken ahead of the result that is due: what waits is small by then."""

_DECIMALS = 6
_CHANCES = 3
"""Workers that may fail to come up, one after the other, before the scan ends."""

_PATIENCE = 0.02
"""Seconds without an image after which a batch that is not full is scored as it is."""


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


class Engine:
    """A scan's machinery, for one run.

    Parameters
    ----------
    preprocess, options
        How images are read and decoded.
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
        preprocess: Preprocess,
        options: ScanOptions,
        scorer: Callable[[], Callable[[Pixels], Probabilities]],
        cache: Cache,
        question: Question,
        plan: Plan,
        *,
        rehash: bool,
    ) -> None:
        self._preprocess = preprocess
        self._options = options
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
        self._entries: queue.SimpleQueue[tuple[Entry, Future[Result]] | None]
        self._entries = queue.SimpleQueue()
        ahead = 2 * max(plan.threads, plan.batch_size)
        self._decoded: queue.Queue[tuple[str, DecodedImage] | None] = queue.Queue(ahead)
        self._flights = Flights(cache, question)
        self._gathering = threading.Lock()
        self._threads: list[threading.Thread] = []
        _open_engines.add(self)

    def run(self, found: Iterator[Found]) -> Generator[Result]:
        """Yield what becomes of each entry, in order. Closing the generator ends all work."""
        try:
            self._start("discover", self._feed, found)
            self._start("clock", self._keep_time)
            for _ in range(self._plan.workers):
                self._start("lane", self._examine_entries)
            for _ in range(self._plan.threads):
                self._start("score", self._score_batches)
            while (result := self._results.get()) is not None:
                if isinstance(result, BaseException):
                    raise result
                yield result.result() if isinstance(result, Future) else result
                self._room.release()
        finally:
            self.stop()

    def stop(self) -> None:
        """End all work: nothing is begun any more, and what is under way is broken off."""
        self._stopped.set()
        for worker in self._busy.copy():  # first of all: nobody keeps their time any more
            worker.kill()
        self._room.release()
        for _ in range(self._plan.workers):
            self._entries.put(None)
        with contextlib.suppress(queue.Full):  # then there is something else to wake up for
            self._decoded.put_nowait(None)
        for worker in self._busy.copy():  # what has begun in the meantime
            worker.kill()
        if threading.current_thread() in self._threads:
            return  # a collector of garbage runs where it likes
        for thread in self._threads:
            # It ends at the next entry; only one that waits for a list to go on is left behind.
            thread.join(timeout=0.5 if thread.name == "discover" else None)

    def _start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        # Daemons, lest a program that abandons a scan never ends.
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise EngineError(
                f"the system starts no more threads ({error}); lower --workers or --threads"
            ) from error
        self._threads.append(thread)

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
        if not isinstance(entry, Entry):
            return _as_result(entry)
        known = self._recall(entry)
        if known is not None:
            return known
        result: Future[Result] = Future()
        self._entries.put((entry, result))
        return result

    def _examine_entries(self) -> None:
        while (item := self._entries.get()) is not None and not self._stopped.is_set():
            self._examine(*item)

    def _examine(self, entry: Entry, result: "Future[Result]") -> None:
        """Find out what a file is; resolve its result, or have it scored."""
        try:
            for chance in range(_CHANCES):
                try:
                    self._with_worker(entry, result)
                    break
                except EngineError:
                    if chance == _CHANCES - 1:
                        raise
        except ImageError as error:
            result.set_result(Outcome(entry.location, error=error))
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are taken
            result.set_exception(error)

    def _with_worker(self, entry: Entry, result: "Future[Result]") -> None:
        with self._busy_with(acquire()) as worker:
            decoded = self._decode(worker, entry, result)
            if decoded is not None:
                self._hand_on(decoded)

    @contextlib.contextmanager
    def _busy_with(self, worker: Worker) -> Iterator[Worker]:
        """Have `stop` and the clock know of a worker; give it back in the end."""
        self._busy.add(worker)
        try:
            if self._stopped.is_set():
                worker.kill()
            yield worker
        finally:
            self._busy.discard(worker)
            release(worker)

    def _recall(self, entry: Entry) -> Outcome | None:
        if self._rehash:
            return None
        known = self._cache.recall(
            entry.address, lambda: entry.stamp(self._options.max_filesize), self._question
        )
        if known is None:
            return None
        return Outcome(
            entry.location, known.verdict, None, known.sha256, known.sha1, cached=known.earlier
        )

    def _decode(
        self, worker: Worker, entry: Entry, result: "Future[Result]"
    ) -> tuple[str, DecodedImage] | None:
        """Give what is to be scored, and the digest it belongs to, if there is anything."""
        seen = worker.read(entry, self._options)
        if worker.needs_recycling:
            with self._busy_with(Worker()) as fresh:
                return self._decode(fresh, entry, result)
        if not isinstance(seen, Digests):
            result.set_result(_as_result(seen))
            return None
        if seen.stamp is not None and self._cache.path is not None:
            self._cache.remember(entry.address, seen.stamp, seen.sha256, seen.sha1)
        if not self._flights.board(entry.location, seen, result):
            return None
        try:
            return seen.sha256, self._pixels(worker, entry, seen)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is these files' result
            self._flights.land(seen.sha256, error)
            return None

    def _pixels(self, worker: Worker, entry: Entry, seen: Digests) -> DecodedImage:
        try:
            return worker.decode(self._preprocess, self._options)
        except ImageError:
            if not worker.needs_recycling:
                raise
            with self._busy_with(Worker()) as fresh:
                again = fresh.read(entry, self._options)
                if isinstance(again, Digests) and again.sha256 == seen.sha256:
                    return fresh.decode(self._preprocess, self._options)
            raise

    def _hand_on(self, decoded: tuple[str, DecodedImage]) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._decoded.put(decoded, timeout=0.1)
                return

    def _keep_time(self) -> None:
        before = time.monotonic()
        while not self._stopped.wait(LEAST_TIMEOUT):
            now = time.monotonic()
            late = now - before - LEAST_TIMEOUT
            for worker in self._busy.copy():
                # So late, this program was suspended, and the answers lie ready.
                worker.end_if_overdue(slept=late if late > 1 else 0)
            before = now

    def _score_batches(self) -> None:
        score: Callable[[Pixels], Probabilities] | None = None
        while (batch := self._gather()) and not self._stopped.is_set():
            digests, images = zip(*batch, strict=True)
            verdicts: Sequence[Verdict | BaseException]
            try:
                score = score or self._scorer()
                verdicts = _verdicts(images, score, self._plan.batch_size)
                good = [
                    (sha256, verdict)
                    for sha256, verdict in zip(digests, verdicts, strict=True)
                    if isinstance(verdict, Verdict)
                ]
                self._cache.store(good, self._question)
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                verdicts = [error for _ in batch]
            for sha256, verdict in zip(digests, verdicts, strict=True):
                self._flights.land(sha256, verdict)
        with contextlib.suppress(queue.Full):
            self._decoded.put_nowait(None)  # wake the next thread: it is over for all

    def _gather(self) -> list[tuple[str, DecodedImage]]:
        """Wait for a batch; nothing at the end. One thread at a time, so that batches fill up."""
        batch: list[tuple[str, DecodedImage]] = []
        frames = 0
        with self._gathering, contextlib.suppress(queue.Empty):
            while frames < self._plan.batch_size:
                wait = None if not batch else _PATIENCE if self._plan.full else 0
                item = self._decoded.get(block=wait != 0, timeout=wait)
                if item is None:
                    break
                batch.append(item)
                frames += len(item[1].pixels)
        return batch


def _as_result(entry: Skipped | Problem) -> Result:
    if isinstance(entry, Skipped):
        return entry
    return Outcome(entry.location, error=ImageError(entry.reason, entry.detail))


def _verdicts(
    images: tuple[DecodedImage, ...],
    score: Callable[[Pixels], Probabilities],
    batch_size: int,
) -> list[Verdict | ImageError]:
    pixels = [image.pixels for image in images]
    together = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
    # An animation may have more frames than are to be scored at a time.
    starts = range(0, len(together), batch_size)
    scores = np.concatenate([score(together[start : start + batch_size]) for start in starts])
    remaining = iter(scores)
    verdicts: list[Verdict | ImageError] = []
    for image in images:
        frames = [float(next(remaining)) for _ in image.pixels]
        if any(map(math.isnan, frames)):
            verdicts.append(ImageError(Reason.UNSCORED, "the model gave no number for it"))
            continue
        # Rounded before it is compared, so that a record agrees with itself.
        best = round(max(frames), _DECIMALS)
        verdicts.append(Verdict(best, image.width, image.height, len(frames)))
    return verdicts


_open_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


@atexit.register
def _stop_engines() -> None:
    """End the scans that were abandoned, before the interpreter is taken down around them."""
    for engine in list(_open_engines):
        engine.stop()
