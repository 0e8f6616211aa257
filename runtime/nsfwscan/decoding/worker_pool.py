"""Keep idle workers after a scan, for the next scan in the same program."""

import atexit
import os
import threading
from functools import cache

from nsfwscan.decoding.worker import Worker
from nsfwscan.util.parallel import available_cores

_idle: list[Worker] = []
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


@cache
def _most_idle() -> int:
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
