"""Read the bytes of an image, and compute their digests.

The first bytes decide whether the rest is read. A worker process reads files (`read_file`). Other
entries can be opened only by the scan itself, which reads their bytes (`read_stream`, and
`fetch` for objects of a store) and sends them to a worker. The worker computes the digests
(`contents_of`).
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath
from typing import BinaryIO

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import (
    Entry,
    Problem,
    Skipped,
    SourceError,
    Stamp,
    problem_of,
    special_file,
    stamp_of,
)
from nsfwscan.sources.filetype import HEAD_BYTES, Kind, kind_of, promised_format, sniff
from nsfwscan.sources.remote.entries import RemoteEntry
from nsfwscan.sources.remote.store import PAUSES, persistently

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Contents:
    """An image as stored, not decoded.

    Attributes
    ----------
    data
        The bytes.
    sha256, sha1
        Lower-case hex digests of the bytes.
    stamp
        The file's stamp (`stamp_of`). None if the file changed during reading, or if the bytes do
        not come from a file.
    """

    data: bytes
    sha256: str
    sha1: str
    stamp: Stamp | None


def contents_of(data: bytes, stamp: Stamp | None = None) -> Contents:
    """Compute the digests of an image's bytes."""
    return Contents(
        data,
        hashlib.sha256(data).hexdigest(),
        hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        stamp,
    )


def read_file(entry: Entry, max_filesize: int) -> Contents | Skipped | Problem:
    """Read a file if it is an image.

    Parameters
    ----------
    entry
        The file.
    max_filesize
        Most bytes of an image file.

    Returns
    -------
    Contents, Skipped or Problem
        The image, or the kind of another file, or why the file cannot be read.

    Raises
    ------
    MemoryError
        If the bytes do not fit in memory.
    """
    path = entry.location
    try:
        with open_regular(path, follow=entry.follows) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                return special_file(path, status.st_mode)
            refusal = _refusal(path, _some(stream, HEAD_BYTES), status.st_size, max_filesize)
            if refusal is not None:
                return refusal
            stream.seek(0)
            data = read_up_to(stream, max_filesize + 1, first=status.st_size + 1)
            stamp = stamp_of(status)
            unchanged = stamp == stamp_of(os.fstat(stream.fileno()))
    except (OSError, ValueError) as error:
        return problem_of(path, error, explicit=entry.explicit)
    if len(data) > max_filesize:  # the file grew during reading
        return _too_large(path, max_filesize)
    return contents_of(data, stamp if unchanged else None)


def read_stream(entry: Entry, max_filesize: int) -> bytes | Skipped | Problem:
    """Read the bytes of an entry that is not a file, as `read_file` reads a file.

    At most ``max_filesize + 1`` bytes are read. The entry's location serves as the file name.
    Explicit bytes are never skipped: if they are not an image, the result is a problem.

    Raises
    ------
    ValueError
        If the entry is a file or a URL.
    """
    if entry.open is None:
        raise ValueError(f"{entry.location} is a file or a URL")
    try:
        with entry.open() as stream:
            head = read_up_to(stream, HEAD_BYTES)
            refusal = _refusal(entry.location, head, len(head), max_filesize)
            if isinstance(refusal, Skipped) and entry.explicit:
                return not_an_image(refusal)
            if refusal is not None:
                return refusal
            if type(stream) is BytesIO:
                stream.seek(-len(head), os.SEEK_CUR)
                data = stream.read(max_filesize + 1)  # all at once: that copies nothing
            else:
                data = head + read_up_to(stream, max_filesize + 1 - len(head))
    except OSError as error:
        return problem_of(entry.location, error, explicit=entry.explicit)
    except MemoryError:
        return Problem(entry.location, Reason.TOO_LARGE, "there is not enough memory to read it")
    except Exception as error:  # noqa: BLE001 - a source may raise anything, as a damaged archive does
        said = f"{type(error).__name__}: {error}"
        return Problem(entry.location, Reason.UNREADABLE, f"its source failed ({said})")
    return data if len(data) <= max_filesize else _too_large(entry.location, max_filesize)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of an object, and its stamp when they were sent."""

    data: bytearray
    stamp: Stamp | None


def fetch(
    entry: RemoteEntry, max_filesize: int, admit: Callable[[int | None], None]
) -> Fetched | Skipped | Problem:
    """Read an object, as `read_file` reads a file; try again if it fails in passing.

    Parameters
    ----------
    entry
        The object.
    max_filesize
        Most bytes of an image file. Of more, only the first piece is read.
    admit
        Called with the number of bytes, or None, before more than the first piece is read. It may
        wait until there is room for them.
    """
    try:
        return persistently(lambda: _fetch_once(entry, max_filesize, admit), PAUSES)
    except SourceError as error:
        return _failed(entry, error)


def _fetch_once(
    entry: RemoteEntry, max_filesize: int, admit: Callable[[int | None], None]
) -> Fetched | Skipped | Problem:
    location = entry.location
    try:
        with entry.get() as stream:
            size = stream.details.size
            head = stream.peek(HEAD_BYTES)
            refusal = _refusal(location, head, size or len(head), max_filesize)
            if refusal is not None:
                return refusal
            admit(size)
            data = bytearray()  # grows in place: pieces and their sum would take twice as much
            while len(data) <= max_filesize and (piece := stream.read(_PIECE_BYTES)):
                data += piece
    except MemoryError:
        return Problem(location, Reason.TOO_LARGE, "there is not enough memory to read it")
    if len(data) > max_filesize:
        return _too_large(location, max_filesize)
    return Fetched(data, stream.details.stamp)


def _failed(entry: RemoteEntry, error: SourceError) -> Problem:
    if error.reason is Reason.NOT_FOUND and not entry.explicit:
        return Problem(entry.location, Reason.VANISHED, "it was deleted after it was listed")
    return Problem(entry.location, error.reason, error.detail)


def open_regular(path: str, *, follow: bool) -> BinaryIO:
    """Open a file that was regular when it was listed, without buffering.

    If a pipe has replaced the file, opening it does not block. If a symbolic link has, opening it
    is an error unless `follow` is set.
    """
    more = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    return open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | more))


def read_up_to(stream: BinaryIO, most: int, *, first: int = _PIECE_BYTES) -> bytes:
    """Read to the end of a stream, or at most `most` bytes.

    The first read asks for `first` bytes. One more than the size of a file avoids a copy.

    Raises
    ------
    OSError
        If the stream currently has no bytes, which can happen for a file in /proc.
    """
    pieces, size, step = list[bytes](), 0, first
    while size < most and (piece := _some(stream, min(step, most - size))):
        pieces.append(piece)
        size += len(piece)
        step = _PIECE_BYTES
    return b"".join(pieces)


def _some(stream: BinaryIO, size: int) -> bytes:
    data: bytes | None = stream.read(size)
    if data is None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return data


def _refusal(location: str, head: bytes, size: int, max_filesize: int) -> Skipped | Problem | None:
    """Return why an entry need not be read, by its first bytes; None if it must be read."""
    name = PurePath(location).name
    if sniff(head, name) is not None:
        return _too_large(location, max_filesize, size) if size > max_filesize else None
    promised, kind = promised_format(name), kind_of(head, name)
    if promised is None:
        return Skipped(location, kind)
    claim = f"named like a {promised.name} image"
    if kind is Kind.EMPTY:
        return Problem(location, Reason.EMPTY, f"{claim}, but empty")
    if promised.plugin is None and kind is Kind.OTHER:
        detail = f"{claim}, which is not decoded; convert it to PNG or JPEG"
        return Problem(location, Reason.UNSUPPORTED, detail)
    looks = "" if kind is Kind.OTHER else f"; it looks like a {kind}"
    detail = f"{claim}, but the content is not an image{looks}"
    return Problem(location, Reason.NOT_AN_IMAGE, detail)


def not_an_image(found: Skipped) -> Problem:
    """Return the problem of something that was given as an image and is none."""
    if found.kind is Kind.EMPTY:
        return Problem(found.location, Reason.EMPTY, "there are no bytes")
    looks = "" if found.kind is Kind.OTHER else f"; it looks like a {found.kind}"
    return Problem(found.location, Reason.NOT_AN_IMAGE, f"the content is not an image{looks}")


def _too_large(location: str, most: int, size: int | None = None) -> Problem:
    subject = "its bytes" if size is None else f"{size:,} bytes"
    return Problem(
        location,
        Reason.TOO_LARGE,
        f"{subject} are more than the limit of {most:,} (see --max-filesize)",
    )


def is_image(path: PurePath) -> bool:
    """Return whether a path is that of a file that begins like an image."""
    if os.path.isfile(path):
        with suppress(OSError), open_regular(str(path), follow=True) as stream:
            return sniff(read_up_to(stream, HEAD_BYTES), path.name) is not None
    return False
