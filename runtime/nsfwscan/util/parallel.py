"""The number of available cores, and an ordered, bounded map on threads."""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return the number of cores that the machine, taskset and the container allow.

    A container's limit on CPU time (``docker run --cpus``) is rounded up to whole cores.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(membership: Path, root: Path) -> float | None:
    """Return the CPU time that Linux control groups allow, in cores.

    Parameters
    ----------
    membership
        The file that lists the process's groups (cgroups(7)).
    root
        The mount point of version 2, or of version 1 with a folder for each controller.

    Returns
    -------
    float or None
        The lowest limit of the group and its parents. None if there is no limit.
    """
    try:
        lines = membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers
        own = base / group.lstrip("/")
        # In a container the name may be the host's. Then only the top folder exists.
        for folder in (own, *own.parents):
            if folder == base or base in folder.parents:
                quotas += [_quota(folder)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """Read one group's limit (Linux documentation: admin-guide/cgroup-v2, scheduler/sched-bwc)."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii")
                for name in ("quota", "period")
            )
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" stands for no limit
        return None


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, window: int
) -> Generator[Result]:
    """Apply a function to items on worker threads and yield the results in order.

    Parameters
    ----------
    function
        Called on several threads at once.
    items
        Consumed on the caller's thread, at most `window` ahead of the next result.
    workers
        Number of threads, 1 or more.
    window
        Most items that are in progress, or done and not yet yielded; 1 or more. It limits the
        memory.

    Yields
    ------
    object
        ``function(item)`` for each item. An exception is raised in place of the result. Closing
        the generator drops the items that have not started and waits for the others.
    """
    futures: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for item in items:
            futures.append(pool.submit(function, item))
            if len(futures) >= window:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
