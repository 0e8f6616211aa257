"""The scan engine: workers decode ahead, threads score what is decoded, results keep their order.

One thread consumes the entries. Threads named ``decode`` drive one worker process each and put
decoded images into a short queue; threads named ``score`` take batches from it. Objects of stores
are first fetched by threads named ``fetch``. Results come out in the order of the entries.
Everything that runs ahead is bounded, and so is the memory.
"""

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from nsfwscan.cache.layers import CascadeCache
from nsfwscan.cache.score import CacheKey, Score
from nsfwscan.cache.store import Cache
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.protocol import Digests
from nsfwscan.decoding.worker_pool import keeping
from nsfwscan.errors import EngineError, ImageError
from nsfwscan.inference.scoring import Scorer
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.batching import BatchQueue, Plan
from nsfwscan.pipeline.fetching import REQUESTS, Budget, Share
from nsfwscan.pipeline.inflight import InFlight, Outcome, Result
from nsfwscan.pipeline.reading import as_result, read_and_decode
from nsfwscan.pipeline.supervision import Supervisor, with_restarts
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.reader import Fetched, fetch
from nsfwscan.sources.remote.entries import RemoteEntry

WINDOW = 256
"""Most entries in progress ahead of the next result; each holds little until it is decoded."""


@dataclass(frozen=True, slots=True)
class _Task:
    """An entry to decode, and its bytes if they have been fetched."""

    entry: Entry
    result: "Future[Result]"
    share: Share
    fetched: Fetched | None = None


class Engine:
    """Everything that one scan runs.

    Parameters
    ----------
    preprocess
        The parameters of decoding.
    options
        The limits of reading and decoding.
    plan
        How the work is divided.
    scorer
        Called once by each scoring thread; gives its function from images to scores.
    cache
        Scores of earlier scans, or None.
    key
        The cache key.
    rehash
        Whether to read every file, even one with an unchanged stamp.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        options: ScanOptions,
        plan: Plan,
        scorer: Callable[[], Scorer],
        *,
        cache: Cache | CascadeCache | None,
        key: CacheKey,
        rehash: bool,
    ) -> None:
        self._preprocess = preprocess
        self._options = options
        self._plan = plan
        self._scorer = scorer
        self._cache = cache
        self._key = key
        self._rehash = rehash
        self._supervisor = Supervisor()
        self._room = threading.Semaphore(WINDOW)
        self._results: queue.SimpleQueue[Result | Future[Result] | BaseException | None]
        self._results = queue.SimpleQueue()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._objects: queue.SimpleQueue[tuple[RemoteEntry, Future[Result]] | None]
        self._objects = queue.SimpleQueue()
        self._fetching = 0  # threads
        self._budget = Budget()
        self._batches = BatchQueue(plan)
        self._in_flight = InFlight(cache, key)
        self._threads: list[threading.Thread] = []
        _open_engines.add(self)

    def run(self, found: Iterator[Found]) -> Generator[Result]:
        """Yield the result of each entry, in order. Closing the generator stops all work."""
        with keeping(self._plan.workers):
            try:
                self._start("discover", self._feed, found)
                self._start("clock", self._supervisor.run_clock)
                for _ in range(self._plan.workers):
                    self._start("decode", self._decode_entries)
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
        """Stop all work: nothing new begins, and what is in progress is interrupted."""
        self._supervisor.stop()
        self._room.release()
        self._budget.stop()
        for _ in range(self._plan.workers):
            self._tasks.put(None)
        for _ in range(REQUESTS):
            self._objects.put(None)
        self._batches.stop()
        if threading.current_thread() in self._threads:
            return  # the garbage collector may run this on any thread
        # A list that does not continue, or an entry that does not open, can block its thread.
        until = time.monotonic() + 0.5
        for thread in self._threads:
            blocks = thread.name in {"discover", "decode", "fetch"}
            thread.join(timeout=max(0, until - time.monotonic()) if blocks else None)

    def _start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        # Daemon threads: a program that abandons a scan can still exit.
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise EngineError(
                f"the system starts no more threads ({error}); lower --workers or --threads"
            ) from error
        self._threads.append(thread)

    def _feed(self, found: Iterator[Found]) -> None:
        """Consume the entries; hand on those that have to be read."""
        end: BaseException | None = None
        try:
            for entry in found:
                self._room.acquire()
                if self._supervisor.is_stopped:
                    break
                self._results.put(self._begin(entry))
        except BaseException as error:  # noqa: BLE001 - raised where the results are consumed
            end = error
        finally:
            self._results.put(end)

    def _begin(self, entry: Found) -> "Result | Future[Result]":
        """Give the result of an entry, or a future if the entry has to be read."""
        if not isinstance(entry, Entry):
            return as_result(entry)
        result: Future[Result] = Future()
        if isinstance(entry, RemoteEntry):
            self._objects.put((entry, result))
            if self._fetching < REQUESTS:
                self._fetching += 1
                self._start("fetch", self._fetch_objects)
            return result
        if (hit := self._unread(entry)) is not None:
            return hit
        self._tasks.put(_Task(entry, result, Share(self._budget)))
        return result

    def _unread(self, entry: Entry) -> Outcome | None:
        """Return the result of an entry that has not changed since an earlier scan."""
        if self._cache is None or self._rehash:
            return None
        max_filesize = self._options.max_filesize
        hit = self._cache.find_unread(entry.address, lambda: entry.stamp(max_filesize), self._key)
        if hit is None:
            return None
        return Outcome(entry.location, hit.score, None, hit.sha256, hit.sha1, cached=hit.earlier)

    def _fetch_objects(self) -> None:
        while (item := self._objects.get()) is not None and not self._supervisor.is_stopped:
            entry, result = item
            share = Share(self._budget)
            try:
                found = self._unread(entry) or fetch(entry, self._options.max_filesize, share.take)
            except BaseException as error:  # noqa: BLE001 - raised where the results are consumed
                result.set_exception(error)
                found = None
            if isinstance(found, Fetched):
                # In the order of arrival: none that has arrived waits for one that waits for room.
                self._tasks.put(_Task(entry, result, share, found))
            else:
                share.close()
                if found is not None:
                    result.set_result(found if isinstance(found, Outcome) else as_result(found))
            del found  # its bytes, which would stay until the next object

    def _decode_entries(self) -> None:
        while (task := self._tasks.get()) is not None and not self._supervisor.is_stopped:
            try:
                with_restarts(partial(self._decode, task))
            except ImageError as error:
                task.result.set_result(Outcome(task.entry.location, error=error))
            except BaseException as error:  # noqa: BLE001 - raised where the results are consumed
                task.result.set_exception(error)
            finally:
                task.share.close()
            del task  # as above

    def _decode(self, task: _Task) -> None:
        """Read and decode an entry; resolve its result, or queue its pixels to be scored."""
        claimed: Digests | None = None

        def claim(seen: Digests | Skipped | Problem) -> bool:
            nonlocal claimed
            claimed = self._claim(task, seen)
            return claimed is not None

        data = None if task.fetched is None else task.fetched.data
        try:
            image = read_and_decode(
                task.entry, self._supervisor, self._preprocess, self._options, claim, data
            )
        except BaseException as error:
            if claimed is None:
                raise
            self._in_flight.complete(claimed.sha256, error)
            return
        if claimed is not None and image is not None:
            self._batches.put(claimed.sha256, image)

    def _claim(self, task: _Task, seen: Digests | Skipped | Problem) -> Digests | None:
        """Resolve the result of an entry that is not to be decoded; give digests of one that is."""
        if not isinstance(seen, Digests):
            task.result.set_result(as_result(seen))
            return None
        entry, stamp = task.entry, seen.stamp if task.fetched is None else task.fetched.stamp
        if stamp is not None and self._cache is not None:
            self._cache.remember(entry.address, stamp, seen.sha256, seen.sha1)
        return seen if self._in_flight.claim(entry.location, seen, task.result) else None

    def _score_batches(self) -> None:
        score: Scorer | None = None
        while batch := self._batches.take():
            digests, images = zip(*batch, strict=True)
            scores: Sequence[Score | BaseException]
            try:
                score = score or self._scorer()
                scores = score(images)
                if self._cache is not None:
                    pairs = zip(digests, scores, strict=True)
                    self._cache.store([(d, s) for d, s in pairs if isinstance(s, Score)], self._key)
            except BaseException as error:  # noqa: BLE001 - raised where the results are consumed
                scores = [error for _ in batch]
            for sha256, found in zip(digests, scores, strict=True):
                self._in_flight.complete(sha256, found)


_open_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


@atexit.register
def _stop_engines() -> None:
    """Stop abandoned scans before the interpreter shuts down."""
    for engine in list(_open_engines):
        engine.stop()
