"""Drop the rows of files that no longer exist.

A cache holds hashes and no paths, so no row says where its file was. But each folder has a row with
the hash of its parent. The search begins at the root of the file system and enters the folders that
have a row: what it lists there exists, and what has a row and is not listed is gone.

A disk that is not mounted has not lost its files. A folder's row has the device on which the folder
was. What is missing is gone only if that is the device on which the search finds it missing.
"""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from nsfwscan.cache.database import FAILURES, open_database, size_on_disk
from nsfwscan.cache.hashes import hash_of_device, hash_of_path
from nsfwscan.cache.rewrite import give_back, in_turn, keep_rows
from nsfwscan.errors import CacheError

_NOT_MOUNTED = "a disk is not mounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was dropped from a cache, and what was not.

    Attributes
    ----------
    files, scores
        Number of dropped files, and of dropped scores that only these files had.
    unreachable
        Number of files that may exist where the search could not look.
    places
        The folders from which it could not go on, and why.
    unknown
        Number of files that an earlier version stored, without their folders, and that no scan has
        found since.
    before, after
        Bytes on disk.
    """

    files: int
    scores: int
    unreachable: int
    places: dict[str, str]
    unknown: int
    before: int
    after: int


def prune(path: Path) -> Pruned:
    """Drop the rows of files that no longer exist, and make the cache file smaller.

    Scores that belong to no file stay, such as those of standard input. So do the rows that a scan
    stores in the meantime.

    Raises
    ------
    CacheError
        If the cache cannot be used.
    """
    before = size_on_disk(path)
    connection, salt = open_database(path)
    try:
        with closing(connection):
            connection.executescript(_CANDIDATES)
            places = dict(_search(connection, salt))
            unreachable, unknown = _counts(connection)
            files, scores = _drop_gone(connection)
    except FAILURES as error:
        raise CacheError(f"cannot use the cache {path}: {error}") from error
    return Pruned(
        files=files, scores=scores, unreachable=unreachable, places=places, unknown=unknown,
        before=before, after=size_on_disk(path),
    )  # fmt: skip


_CANDIDATES = """
CREATE TEMP TABLE candidate (
  folder BLOB, address BLOB, stamp BLOB, sha256 BLOB, PRIMARY KEY (folder, address)
) WITHOUT ROWID;
INSERT INTO candidate SELECT folder, address, stamp, sha256 FROM file WHERE folder NOT NULL;
CREATE TEMP TABLE searched (folder BLOB PRIMARY KEY) WITHOUT ROWID;
"""
"""The search removes the files that exist, and notes the folders whose other files are gone."""

_GONE = """
CREATE TEMP TABLE gone (address BLOB PRIMARY KEY, stamp BLOB, sha256 BLOB) WITHOUT ROWID;
INSERT INTO gone SELECT address, stamp, sha256 FROM candidate
  WHERE folder IN (SELECT folder FROM searched);
"""

_IS_GONE = "EXISTS (SELECT 1 FROM gone g WHERE g.address = file.address AND g.stamp = file.stamp)"

_WITHOUT_FILE = """
CREATE TEMP TABLE without_file AS SELECT DISTINCT sha256 FROM gone
  WHERE sha256 NOT IN (SELECT sha256 FROM file);
"""


@dataclass(frozen=True, slots=True)
class _Folder:
    address: bytes
    device: bytes  # when its row was stored
    path: str | None  # None: it does not exist
    above: str  # the nearest folder above it that exists
    device_above: bytes  # now


def _search(connection: sqlite3.Connection, salt: bytes) -> Iterator[tuple[str, str]]:
    """Look for all candidates; yield the places where the search cannot go on, and why."""
    below = defaultdict[bytes, list[tuple[bytes, bytes]]](list)
    for parent, address, device in connection.execute("SELECT parent, address, device FROM folder"):
        below[parent].append((address, device))
    pending = [
        _Folder(address, device, root, root, device)
        for root in _roots()
        for address, device in below[hash_of_path(root, salt)]
        if address == hash_of_path(root, salt)
    ]
    while pending:
        at = pending.pop()
        place, device, names = at.above, at.device_above, list[str]()
        try:
            if at.path is not None:
                names, device, place = os.listdir(at.path), hash_of_device(at.path), at.path
        except (FileNotFoundError, NotADirectoryError):
            pass  # as if it were not listed
        except OSError as error:
            yield at.path or place, error.strerror or str(error)
            continue
        listed = {hash_of_path(os.path.join(place, name), salt): name for name in names}
        connection.executemany(
            "DELETE FROM candidate WHERE folder = ? AND address = ?",
            ((at.address, address) for address in listed),
        )
        if device == at.device:
            connection.execute("INSERT OR IGNORE INTO searched VALUES (?)", [at.address])
        elif place == at.above or _has_candidates(connection, at.address):
            yield place, _NOT_MOUNTED
        for address, stored in below.pop(at.address, ()):
            if address != at.address:
                found = os.path.join(place, listed[address]) if address in listed else None
                pending.append(_Folder(address, stored, found, place, device))


def _roots() -> list[str]:
    """Return the top folders: the root, or that of each drive."""
    return [f"{letter}:\\" for letter in ascii_uppercase] if os.name == "nt" else ["/"]


def _has_candidates(connection: sqlite3.Connection, folder: bytes) -> bool:
    query = "SELECT 1 FROM candidate WHERE folder = ?"
    return connection.execute(query, [folder]).fetchone() is not None


def _counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """Count the files that may exist elsewhere, and those without a folder."""
    (unreachable,) = connection.execute(
        "SELECT count(*) FROM candidate WHERE folder NOT IN (SELECT folder FROM searched)"
    ).fetchone()
    (unknown,) = connection.execute("SELECT count(*) FROM file WHERE folder IS NULL").fetchone()
    return unreachable, unknown


def _drop_gone(connection: sqlite3.Connection) -> tuple[int, int]:
    """Drop the files that are gone, and the scores that no other file has."""
    connection.executescript(_GONE)
    files = in_turn(keep_rows(connection, "file", f"NOT {_IS_GONE}"))
    connection.executescript(_WITHOUT_FILE)
    kept = "sha256 NOT IN (SELECT sha256 FROM without_file)"
    scores = in_turn(keep_rows(connection, "score", kept))
    in_turn(give_back(connection))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return files, scores
