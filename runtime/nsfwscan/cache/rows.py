"""Convert the rows of the cache's tables to scores, and check them."""

import struct
from collections.abc import Sequence
from typing import Any

from nsfwscan.cache.score import CacheKey, Hit, Score

SCORE_COLUMNS = "score, width, height, frames, views, frame, total_frames, classes"
"""The columns of a `Score`, in the order of its fields."""

_CLASS, _MILLION = struct.Struct("<I"), 10**6
"""How the probability of a class is stored: in millionths, since it has 6 decimals."""


def is_valid(row: Sequence[Any]) -> bool:
    """Check a row: SQLite keeps any type in any column."""
    score, *counts, views, frame, total, classes, scan, sha256, sha1 = row[:11]
    return (
        isinstance(score, float)
        and 0 <= score <= 1
        and all(isinstance(count, int) and count > 0 for count in counts)
        and isinstance(views, int)
        and views >= 0
        and _is_place(frame, total)
        and (classes is None or _are_classes(classes))
        and isinstance(scan, int)
        and all(isinstance(digest, bytes) for digest in (sha256, sha1))
        and (len(sha256), len(sha1)) == (32, 20)
    )


def _is_place(frame: object, total: object) -> bool:
    if frame is None or total is None:
        return frame is total
    return isinstance(frame, int) and isinstance(total, int) and 0 <= frame < total


def _are_classes(packed: object) -> bool:
    if not isinstance(packed, bytes) or len(packed) % _CLASS.size:
        return False
    return all(0 <= millionths <= _MILLION for (millionths,) in _CLASS.iter_unpack(packed))


def packed(classes: tuple[float, ...] | None) -> bytes | None:
    """Return the column of the probabilities of classes."""
    if classes is None:
        return None
    return b"".join(_CLASS.pack(round(value * _MILLION)) for value in classes)


def _unpacked(packed: bytes | None) -> tuple[float, ...] | None:
    if packed is None:
        return None
    return tuple(millionths / _MILLION for (millionths,) in _CLASS.iter_unpack(packed))


def to_hit(row: Sequence[Any], key: CacheKey) -> Hit:
    """Convert a valid row: the columns of a score, its scan, and the digests."""
    *score, scan, sha256, sha1 = row
    score[-1] = _unpacked(score[-1])
    return Hit(Score(*score), sha256.hex(), sha1.hex(), earlier=scan != key.scan)
