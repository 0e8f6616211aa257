"""Do work on threads, a bounded way ahead of whoever takes the results, and keep the order."""

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
    """Count the cores that this process may use: what the machine, taskset and a container allow.

    A container's limit on the time of the CPU (``docker run --cpus``) counts as that many cores,
    rounded up.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(membership: Path, root: Path) -> float | None:
    """Give the cores' worth of time that Linux' control groups grant.

    Parameters
    ----------
    membership
        The file that names the process's groups (cgroups(7)).
    root
        Where the groups are mounted: of version 2, or folders of version 1 by controller.

    Returns
    -------
    float or None
        The smallest limit of the group and those above it; None where there is none.
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
        # In a container the name may be the one outside: then only the top is there to be read.
        for folder in (own, *own.parents):
            if folder == base or base in folder.parents:
                quotas += [_quota(folder)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """Read one group's limit (Linux' admin-guide/cgroup-v2 and scheduler/sched-bwc)."""
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
