"""What the stores have in common."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from nsfwscan.sources.remote.stream import Details, ObjectStream

CONNECT_SECONDS, STALL_SECONDS = 5.0, 10.0
"""Most seconds to connect, and to wait for the next byte, if the time limit is not shorter."""

LISTING_ATTEMPTS = 5
"""How often a page of a listing is asked for, with longer and longer pauses."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds.

    Attributes
    ----------
    total
        For all bytes of an object.
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
