"""A cache with one score, for the tests of its parts."""

import sqlite3
from contextlib import closing
from pathlib import Path

from nsfwscan.cache.score import CacheKey, Score
from nsfwscan.cache.store import Cache

MODEL = "ab" * 32
KEY, LATER, OTHER = (
    CacheKey(bytes(32), MODEL, 1),
    CacheKey(bytes(32), MODEL, 2),
    CacheKey(bytes(31) + b"x", MODEL, 1),
)
SHA256, SHA1 = "12" * 32, "34" * 20
SCORE = Score(0.123457, 640, 480, 1)
OF_ANIMATION = Score(0.5, 64, 48, 3, 2, frame=142, total_frames=300)
OLD = (1, 2, 3, 10**18, 10**18)


def filled(path: Path) -> Path:
    with Cache(path) as cache:
        cache.store([(SHA256, SCORE)], KEY)
        cache.remember("a.jpg", OLD, SHA256, SHA1)
    return path


def altered(path: Path, statement: str) -> Path:
    """Change the tables of a cache from another connection."""
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    return path
