"""From a path to the bytes of an image and their digests, if an image is what lies there."""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import (
    Entry,
    Problem,
    Skipped,
    Stamp,
    problem_of,
    special_file,
    stamp_of,
)
from nsfwscan.sources.filetype import HEAD_BYTES, Kind, kind_of, promised_format, sniff

_PIECE_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Contents:
    """An image file that was read.

    Attributes
    ----------
    data
        Its bytes.
    sha256, sha1
        Their lower-case hex digests.
    stamp
        What `stamp_of` said of the file before and after it was read; None if that differed.
    """

    data: bytes
    sha256: str
    sha1: str
    stamp: Stamp | None


def read(entry: Entry, max_filesize: int) -> Contents | Skipped | Problem:
    """Read a file, if it is an image or claims to be one.

    Parameters
    ----------
    entry
        The file.
    max_filesize
        Most bytes that an image file may have.

    Returns
    -------
    Contents, Skipped or Problem
        What is in it; or that it is no image; or why it cannot be looked into.

    Raises
    ------
    MemoryError
        If there is none for its bytes.
    """
    path = entry.location
    try:
        with _open(path, follow=entry.explicit) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                return special_file(path, status.st_mode)
            head = _some(stream, HEAD_BYTES)
            refusal = _refusal(path, head, status.st_size, max_filesize)
            if refusal is not None:
                return refusal
            stream.seek(0)
            data = _read_all(stream, status.st_size, max_filesize)
            stamp = stamp_of(status)
            unchanged = stamp == stamp_of(os.fstat(stream.fileno()))
    except (OSError, ValueError) as error:
        return problem_of(path, error, explicit=entry.explicit)
    if len(data) > max_filesize:  # it has grown since its size was asked for
        return _too_large(path, len(data), max_filesize)
    return Contents(
        data,
        hashlib.sha256(data).hexdigest(),
        hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        stamp if unchanged else None,
    )


def _refusal(path: str, head: bytes, size: int, max_filesize: int) -> Skipped | Problem | None:
    """Decide by its first bytes what becomes of a file that is not worth reading; else None."""
    name = PurePath(path).name
    if sniff(head, name) is not None:
        return _too_large(path, size, max_filesize) if size > max_filesize else None
    promised, kind = promised_format(name), kind_of(head, name)
    if promised is None:
        return Skipped(path, kind)
    named = f"named like a {promised.name} image"
    if kind is Kind.EMPTY:
        return Problem(path, Reason.EMPTY, f"{named}, but empty")
    if promised.plugin is None and kind is Kind.OTHER:
        detail = f"{named}, which is not decoded; convert it to PNG or JPEG"
        return Problem(path, Reason.UNSUPPORTED, detail)
    looks = "" if kind is Kind.OTHER else f"; it looks like a {kind}"
    detail = f"{named}, but the content is none{looks}"
    return Problem(path, Reason.NOT_AN_IMAGE, detail)


def _too_large(path: str, size: int, most: int) -> Problem:
    detail = f"{size:,} bytes are more than the limit of {most:,}"
    return Problem(path, Reason.TOO_LARGE, detail)


def _read_all(stream: BinaryIO, size: int, most: int) -> bytes:
    """Read to the end, or until it is clear that there are more than `most` bytes.

    A file that has the size it should have is read at once, and its bytes are not copied.
    """
    pieces = [_some(stream, size + 1)]
    size = len(pieces[0])
    while size <= most and (piece := _some(stream, _PIECE_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _some(stream: BinaryIO, size: int) -> bytes:
    """Read what is there; a file of the system's, a log say, that has nothing yet is an error."""
    data: bytes | None = stream.read(size)
    if data is None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return data


def _open(path: str, *, follow: bool) -> BinaryIO:
    """Open a file for reading; what was a file when it was found may be a pipe or a link by now."""
    more = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    return open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | more))
