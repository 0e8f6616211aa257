"""What the stores have in common."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.stream import Details, ObjectStream

CONNECT_SECONDS, STALL_SECONDS = 5.0, 10.0
"""Most seconds to connect, and to wait for the next byte, if the time limit is not shorter."""

PAUSES = (0.1, 0.4, 1.6)
"""Most seconds before the second attempt to fetch an object, and before each later one."""

LISTING_PAUSES = (*PAUSES, 6.4)
"""The same for a page of a listing, on which more depends."""

LISTING_ATTEMPTS = len(LISTING_PAUSES) + 1

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds.

    Attributes
    ----------
    total
        For all bytes of an object, or of a page of a listing, in one attempt.
    """

    total: float

    @property
    def connect(self) -> float:
        """For a connection. Two attempts fit into the total."""
        return min(CONNECT_SECONDS, self.total / 3)

    @property
    def stall(self) -> float:
        """For the next byte."""
        return min(STALL_SECONDS, self.total / 3)


class Store(Protocol):
    """A bucket, or a web server. Thread-safe. Every method raises SourceError."""

    def list(self, prefix: str, /) -> Iterator[Details]:
        """Yield the objects whose keys begin with a prefix, page by page."""

    def look(self, key: str) -> Details:
        """Ask for what is known of an object."""

    def open(self, key: str) -> ObjectStream:
        """Ask for an object. The stream has its first bytes."""


def persistently(work: Callable[[], _Result], pauses: Sequence[float]) -> _Result:
    """Try again after each pause what fails in passing.

    Raises
    ------
    SourceError
        If the last attempt fails, or another one for good.
    """
    for pause in pauses:
        try:
            return work()
        except SourceError as error:
            if not error.passing:
                raise
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - apart from other threads
    return work()
