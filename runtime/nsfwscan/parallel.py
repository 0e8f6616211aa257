"""Do work on threads, a bounded way ahead of whoever takes the results, and keep the order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, window: int
) -> Generator[Result]:
    """Apply a function to items on worker threads and yield the results in order.

    Parameters
    ----------
    function
        What to do. It runs on several threads at once.
    items
        Taken on the caller's thread, never more than `window` ahead of the result that is due.
    workers
        Number of threads, 1 or more.
    window
        Most items under way or done and waiting, 1 or more: it bounds the memory.

    Yields
    ------
    object
        ``function(item)``, or what it raised, for each item. When the generator is closed, what
        has not begun is dropped and what has is waited for.
    """
    under_way: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= window:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
