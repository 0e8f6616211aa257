"""Keep a cache below its size limit: drop the rows that were used longest ago."""

import sqlite3
from collections.abc import Iterator

from nsfwscan.cache.rewrite import give_back, keep_rows, size_of

_TARGET = 0.9
"""Share of the limit that is left, so that the next rows do not reach it at once."""

_DRAWS = 1_000_000


def evict(connection: sqlite3.Connection, max_size: int) -> Iterator[int]:
    """Drop the least recently used rows until the file has nine tenths of its limit.

    Yields
    ------
    int
        Number of dropped rows, after each short transaction.
    """
    share = 1 - _TARGET * max_size / size_of(connection)
    days = connection.execute(
        "SELECT used, sum(n) FROM (SELECT used, count(*) n FROM score GROUP BY 1 "
        "UNION ALL SELECT used, count(*) FROM file GROUP BY 1) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    yield 0
    day, part = _oldest(days, share)
    drawn = f"abs(random() % {_DRAWS}) >= {round(part * _DRAWS)}"  # each row draws for itself
    for table in ("score", "file"):
        yield from keep_rows(connection, table, f"(used > {day} OR used = {day} AND {drawn})")
    yield from give_back(connection)


def _oldest(days: list[tuple[int, int]], share: float) -> tuple[int, float]:
    """Return the newest day of which rows are dropped, and the part of its rows.

    Parameters
    ----------
    days
        Days, the oldest first, and the number of rows that were last used on each.
    share
        The share of all rows to drop, up to 1.
    """
    left = share * sum(count for _, count in days)
    for day, count in days:
        if count >= left:
            return day, left / count
        left -= count
    return days[-1][0], 1.0  # after rounding
