"""Drop rows of a cache and give their space back, beside scans that use it.

The keys of the rows are hashes, so rows that are to be dropped lie scattered over all pages of the
file, and dropping them frees hardly a page. Therefore the rows that stay are written anew, in many
short transactions: SQLite's VACUUM would lock out every scan for as long as it takes.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from itertools import pairwise

from nsfwscan.cache.database import transaction

_SLICE_BYTES = 1 << 18  # of the file, per transaction
_MOST_SLICES = 1 << 16  # a slice is bounded by two bytes of its keys
_ABOVE_ALL = b"\xff" * 33  # is longer than any key

_KEYS = {"file": "address", "score": "sha256"}
_PAGES = 1000  # pages that one transaction gives back


def size_of(connection: sqlite3.Connection) -> int:
    """Return the bytes of the database file that hold content."""
    pages, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)


def keep_rows(connection: sqlite3.Connection, table: str, condition: str) -> Iterator[int]:
    """Drop the rows that do not meet a condition, and write the others anew.

    Parameters
    ----------
    table
        ``file`` or ``score``.
    condition
        In SQL.

    Yields
    ------
    int
        Number of dropped rows, after each transaction.
    """
    key, bounds = _KEYS[table], _slices(connection)
    within = f"{key} >= ? AND {key} < ?"
    select = f"SELECT * FROM {table} WHERE {within} AND {condition}"  # noqa: S608 - no input
    delete = f"DELETE FROM {table} WHERE {within}"  # noqa: S608 - as above
    for bound in bounds:
        with transaction(connection):
            rows = connection.execute(select, bound).fetchall()
            found = connection.execute(delete, bound).rowcount
            if rows:
                columns = ", ".join("?" * len(rows[0]))
                insert = f"INSERT INTO {table} VALUES ({columns})"  # noqa: S608 - as above
                connection.executemany(insert, rows)
        yield found - len(rows)


def _slices(connection: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
    """Divide all keys evenly, and begin anywhere: not every rewriting comes to its end."""
    count = min(1 + size_of(connection) // _SLICE_BYTES, _MOST_SLICES)
    edges = [(i * _MOST_SLICES // count).to_bytes(2, "big") for i in range(count)]
    slices = list(pairwise([*edges, _ABOVE_ALL]))
    start = secrets.randbelow(count)
    return slices[start:] + slices[:start]


def give_back(connection: sqlite3.Connection) -> Iterator[int]:
    """Drop the folders without files, and make the file as small as its content."""
    connection.execute("CREATE TEMP TABLE occupied (folder BLOB PRIMARY KEY)")
    connection.execute("INSERT OR IGNORE INTO occupied SELECT folder FROM file")
    dropped = 1
    while dropped:  # each round finds the parents of the last
        dropped = connection.execute(
            "DELETE FROM folder WHERE address NOT IN (SELECT folder FROM occupied "
            "WHERE folder NOT NULL UNION SELECT parent FROM folder WHERE parent <> address)"
        ).rowcount
        yield 0
    connection.execute("DROP TABLE occupied")
    while connection.execute("PRAGMA freelist_count").fetchone() != (0,):
        connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # execute() frees one page
        yield 0


def in_turn(steps: Iterator[int]) -> int:
    """Take steps, each a transaction, and leave scans that use the file as much time as they take.

    Returns
    -------
    int
        The sum of what they yield.
    """
    total, started = 0, time.monotonic()
    for count in steps:
        total += count
        time.sleep(time.monotonic() - started)
        started = time.monotonic()
    return total
