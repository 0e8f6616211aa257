"""Objects that are fetched ahead of the workers: many at once, and not too many bytes.

A request takes tens of milliseconds, in which its thread waits. So many threads fetch, while few
worker processes decode. What has arrived, or is about to, takes at most a number of bytes. A single
object that is larger than all of that is fetched alone.
"""

import threading

REQUESTS = 64
"""Most objects that are asked for at once."""

BYTES = 64 << 20
"""Most bytes of objects that have arrived, or are arriving, and are not decoded yet.

Besides, each request has a first piece, mostly of 64 KB, by which it is decided whether to read on.
"""


class Budget:
    """Bytes that may be held at once. Thread-safe."""

    def __init__(self, most: int = BYTES) -> None:
        self._most = most
        self._held = 0
        self._stopped = False
        self._changed = threading.Condition()

    def stop(self) -> None:
        """Let nobody wait from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, size: int | None) -> int:
        """Wait until there is room, and return the number of bytes that are taken.

        Of an unknown size, or one above the limit, all bytes are taken.
        """
        taken = self._most if size is None else min(size, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._held + taken <= self._most)
            self._held += taken
        return taken

    def give_back(self, taken: int) -> None:
        """Make room."""
        with self._changed:
            self._held -= taken
            self._changed.notify_all()


class Share:
    """What one object takes of a budget: taken once, even if it is fetched again."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken: int | None = None

    def take(self, size: int | None) -> None:
        """Wait until there is room for the object."""
        if self._taken is None:
            self._taken = self._budget.take(size)

    def close(self) -> None:
        """Make room for others."""
        if self._taken is not None:
            self._budget.give_back(self._taken)
            self._taken = None
