"""Keep idle workers: during a scan all of them, and after it some for the next scan.

Between two files, a worker is idle for a moment. If the number of idle workers were limited to the
number of cores then, a scan with more workers would end and start processes all the time.
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from nsfwscan.decoding.worker import Worker
from nsfwscan.util.parallel import available_cores

_idle: list[Worker] = []
_wanted = 0  # workers of the scans in progress
_idle_lock = threading.Lock()


def acquire() -> Worker:
    """Take an idle worker, or start one.

    Raises
    ------
    EngineError
        If the system cannot start one.
    """
    with _idle_lock:
        while _idle:
            # Take the last released worker: its memory is warm, and a scan of few files uses few
            # processes.
            worker = _idle.pop()
            if worker.is_reusable:
                return worker
            worker.close()
    return Worker()


def release(worker: Worker) -> None:
    """Keep a worker for the next `acquire`, or end it if it is not reusable or not needed."""
    with _idle_lock:
        if worker.is_reusable and len(_idle) < _most_idle():
            _idle.append(worker)
            return
    worker.close()


@contextmanager
def keeping(count: int) -> Iterator[None]:
    """Let `release` keep the `count` workers of a scan until the block ends."""
    global _wanted  # noqa: PLW0603 - the pool is global too
    with _idle_lock:
        _wanted += count
    try:
        yield
    finally:
        with _idle_lock:
            _wanted -= count
            surplus = _idle[: -_most_idle()]
            del _idle[: -_most_idle()]
        for worker in surplus:
            worker.close()


def _most_idle() -> int:
    """Return how many idle workers are kept: all of the scans in progress, or one per core."""
    return max(_wanted, _cores())


@cache
def _cores() -> int:
    """Return the number of cores, counted once, because counting reads several files."""
    return available_cores()


@atexit.register
def close_idle() -> None:
    """End all idle workers."""
    with _idle_lock:
        while _idle:
            _idle.pop().close()


def _forget_idle() -> None:
    """Forget the parent's workers after a fork, and its lock, which another thread may hold."""
    global _idle_lock  # noqa: PLW0603 - a fork copies the module's state
    _idle_lock = threading.Lock()
    while _idle:
        _idle.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_idle)
