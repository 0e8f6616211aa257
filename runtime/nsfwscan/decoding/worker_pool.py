"""The workers that have nothing to do: they outlive a scan, so that the next one need not wait.

What one scan leaves behind the next one in the same program takes up, whichever thread asks.
"""

import atexit
import os
import threading
from functools import cache

from nsfwscan.decoding.worker import Worker
from nsfwscan.util.parallel import available_cores

_idle: list[Worker] = []
_idle_lock = threading.Lock()


def acquire() -> Worker:
    """Give a worker that has nothing to do, or start one.

    Raises
    ------
    EngineError
        If the system starts none.
    """
    with _idle_lock:
        while _idle:
            # The one that was busy last: its memory is warm, and few files take few processes.
            worker = _idle.pop()
            if worker.fit:
                return worker
            worker.close()
    return Worker()


def release(worker: Worker) -> None:
    """Keep a worker for whoever acquires next; one too many, or one that is gone, is let go."""
    with _idle_lock:
        if worker.fit and len(_idle) < _most_idle():
            _idle.append(worker)
            return
    worker.close()


@cache
def _most_idle() -> int:
    """Count the cores once: that reads several files, and workers come back by the hundred."""
    return available_cores()


@atexit.register
def close_idle() -> None:
    """End the workers that have nothing to do."""
    with _idle_lock:
        while _idle:
            _idle.pop().close()


def _forget_idle() -> None:
    """After a fork: they are the parent's, and its lock may be held for ever."""
    global _idle_lock  # noqa: PLW0603 - the module's state is what a fork copies
    _idle_lock = threading.Lock()
    while _idle:
        _idle.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_idle)
