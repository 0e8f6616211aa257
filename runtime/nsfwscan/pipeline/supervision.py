"""Worker processes in use: each is ended when it is overdue, and all when the work stops."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nsfwscan.decoding.worker import Worker
from nsfwscan.decoding.worker_pool import acquire, release
from nsfwscan.errors import EngineError
from nsfwscan.limits import LEAST_TIMEOUT

Result = TypeVar("Result")

_STARTS = 3
"""How many workers in a row may fail to start before the work ends."""

_log = logging.getLogger(__name__)


class Supervisor:
    """The workers in use by the threads of one work.

    One thread must run `run_clock`, or no worker is ever overdue.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._busy: set[Worker] = set()

    @property
    def is_stopped(self) -> bool:
        """Whether the work has stopped."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End all workers in use, and each worker that a thread takes from now on."""
        self._stopped.set()  # first: from now on the clock no longer ends them
        for worker in self._busy.copy():
            worker.kill()

    def run_clock(self) -> None:
        """End overdue workers until the work stops."""
        before = time.monotonic()
        while not self._stopped.wait(LEAST_TIMEOUT):
            now = time.monotonic()
            late = now - before - LEAST_TIMEOUT
            for worker in self._busy.copy():
                # After a longer gap this program was suspended; the answers may be ready.
                worker.end_if_overdue(slept=late if late > 1 else 0)
            before = now

    def workers(self, location: str) -> Generator[Worker]:
        """Yield a worker, and a new one if the first was refused memory.

        The memory that earlier files left in use may have caused the refusal. This is the only
        retry, and every worker that was refused memory is discarded.

        Parameters
        ----------
        location
            The entry that is read, for the log.
        """
        with self._busy_with(acquire()) as worker:
            yield worker
            retry = worker.needs_recycling
        if retry:
            _log.info("reading %r again in a new worker: the first was refused memory", location)
            with self._busy_with(Worker()) as worker:
                yield worker

    @contextmanager
    def _busy_with(self, worker: Worker) -> Iterator[Worker]:
        self._busy.add(worker)
        try:
            if self._stopped.is_set():
                worker.kill()
            yield worker
        finally:
            self._busy.discard(worker)
            release(worker)


def with_restarts(work: Callable[[], Result]) -> Result:
    """Call a function again while a worker does not start, a few times.

    Raises
    ------
    EngineError
        If no worker starts.
    """
    for _ in range(_STARTS - 1):
        try:
            return work()
        except EngineError as error:
            _log.warning("starting another worker: %s", error)
    return work()
