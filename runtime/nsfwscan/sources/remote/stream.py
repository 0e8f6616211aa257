"""An object of a store: what the store says of it, and its bytes as they arrive."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError, Stamp


@dataclass(frozen=True, slots=True)
class Details:
    """What a store says of an object.

    Attributes
    ----------
    key
        Its key.
    size
        Bytes. None if the store does not say.
    modified
        When it was written. None if the store does not say.
    stamp
        What changes with the content. None if the store does not say so reliably.
    """

    key: str
    size: int | None
    modified: datetime | None
    stamp: Stamp | None


def stamp_of_object(
    etag: str | None, size: int | None, modified: datetime | None = None
) -> Stamp | None:
    """Return the stamp of an object.

    Parameters
    ----------
    etag
        The entity tag. None, or a weak one (RFC 9110, 8.8.1), gives no stamp: content may change
        under it.
    size
        Bytes, or None.
    modified
        The last modification, for a tag that may be made of it: what is changed within a tick of
        its clock may keep the tag. None for a tag of the content or of a version.

    Returns
    -------
    tuple of int or None
        128 bits of a hash of the tag, the size, and, as in the stamp of a file, times in
        nanoseconds since 1970.
    """
    if not etag or etag.startswith("W/") or size is None:
        return None
    digest = hashlib.sha256(etag.strip('"').encode()).digest()
    time_ns = 0 if modified is None else int(modified.timestamp()) * 10**9
    return int.from_bytes(digest[:16], "big"), size, time_ns, 0


class ObjectStream:
    """The bytes of an object. A context manager.

    Parameters
    ----------
    pieces
        Yields the bytes. It raises SourceError if they do not arrive, or not all.
    details
        What the store says of the very object that it sends.
    wait
        Waits for the next piece, or None at the end: a method of a `Deadline`.

    Raises
    ------
    SourceError
        From `read`.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        details: Details,
        wait: Callable[[Callable[[], bytes | None]], bytes | None],
    ) -> None:
        self.details = details
        self._pieces = pieces
        self._rest = b""
        self._got = 0
        self._wait = wait

    def __enter__(self) -> "ObjectStream":
        """Give the stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection, if the store still sends."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, or all up to the end. They are read again."""
        while len(self._rest) < size and (piece := self._next()):
            self._rest += piece
        return self._rest[:size]

    def read(self, size: int, /) -> bytes:
        """Read 1 to `size` bytes, or none at the end."""
        piece, self._rest = self._rest or self._next(), b""
        if len(piece) > size:
            piece, self._rest = piece[:size], piece[size:]
        return piece

    def _next(self) -> bytes:
        """Wait for a piece. It is empty at the end only."""
        piece = b""
        if self._got == self.details.size:
            return piece  # at once: to wait for the end costs a thread
        while not piece:
            arrived = self._wait(lambda: next(self._pieces, None))
            if arrived is None:
                self._check_complete()
                break
            piece = arrived
        self._got += len(piece)
        return piece

    def _check_complete(self) -> None:
        size = self.details.size
        if size is not None and self._got != size:
            raise SourceError(
                Reason.UNREADABLE, f"{self._got:,} of {size:,} bytes arrived", passing=True
            )
