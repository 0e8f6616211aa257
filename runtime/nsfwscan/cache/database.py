"""The cache's SQLite file: its location, its tables, and how it is opened and deleted."""

import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from nsfwscan.errors import CacheError
from nsfwscan.util.files import check_local

SCHEMA = 6
_APPLICATION_ID = 0x6E736677  # "nsfw", where SQLite keeps such marks (byte 68 of the file)
_BUSY_SECONDS = 3.0
_SALT_BYTES = 32
_SUFFIXES = ("", "-wal", "-shm", "-journal")

_FOLDER_TABLE = """
CREATE TABLE folder (
  parent BLOB, address BLOB, device BLOB NOT NULL, PRIMARY KEY (parent, address)
) WITHOUT ROWID
"""

_TABLES = f"""
PRAGMA user_version = {SCHEMA};
CREATE TABLE salt (salt BLOB NOT NULL);
CREATE TABLE score (
  sha256 BLOB, key BLOB, model BLOB NOT NULL, score REAL NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, frames INTEGER NOT NULL, scan INTEGER NOT NULL,
  views INTEGER NOT NULL DEFAULT 0, used INTEGER NOT NULL DEFAULT 0, frame INTEGER,
  total_frames INTEGER, classes BLOB,
  PRIMARY KEY (sha256, key)
) WITHOUT ROWID;
CREATE TABLE file (
  address BLOB PRIMARY KEY, stamp BLOB NOT NULL, sha256 BLOB NOT NULL, sha1 BLOB NOT NULL,
  folder BLOB, used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
{_FOLDER_TABLE};
"""
_SCHEMA_OBJECTS = [("table", name) for name in ("file", "folder", "salt", "score")]

_TO_SCHEMA_2 = """
ALTER TABLE verdict RENAME COLUMN question TO key;
ALTER TABLE verdict RENAME TO score;
ALTER TABLE place RENAME COLUMN place TO address;
ALTER TABLE place RENAME TO file
"""
"""Version 0.1.0 wrote the same tables under other names."""

_TO_SCHEMA_3 = "ALTER TABLE score ADD COLUMN views INTEGER NOT NULL DEFAULT 0"

_TO_SCHEMA_4 = f"""
ALTER TABLE score ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
ALTER TABLE file ADD COLUMN folder BLOB;
ALTER TABLE file ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
{_FOLDER_TABLE}
"""
"""The next scan that finds a row fills in its folder and its day."""

_TO_SCHEMA_5 = """
ALTER TABLE score ADD COLUMN frame INTEGER;
ALTER TABLE score ADD COLUMN total_frames INTEGER;
DELETE FROM score WHERE frames > 1
"""
"""It is not known which frame of these has the score, so they are scored again."""

_TO_SCHEMA_6 = "ALTER TABLE score ADD COLUMN classes BLOB"

_INCREMENTAL = 2  # SQLite's number for this kind of auto_vacuum

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises on a damaged file: the second where its message quotes the file."""


def default_path() -> Path:
    """Give the default path of the cache, in the user's cache folder.

    Raises
    ------
    CacheError
        If the user has no home.
    """
    try:
        return platformdirs.user_cache_path("nsfwscan", appauthor=False) / "verdicts.sqlite"
    except RuntimeError as error:
        raise CacheError(f"the cache has no default path: {error}") from error


def files_of(path: Path) -> list[Path]:
    """Give the files that SQLite keeps for a database."""
    return [path.with_name(path.name + suffix) for suffix in _SUFFIXES]


def size_on_disk(path: Path) -> int:
    """Return the bytes of a cache and of the files that SQLite keeps beside it."""
    return sum(file.stat().st_size for file in files_of(path) if file.exists())


def open_database(path: Path) -> tuple[sqlite3.Connection, bytes]:
    """Open a cache file. Create it, with its tables, if it does not exist.

    Returns
    -------
    connection : sqlite3.Connection
        Usable from any thread, by one at a time.
    salt : bytes
        32 random bytes, the key of this cache's hashes of paths.

    Raises
    ------
    CacheError
        If it cannot be opened, is damaged, or was written by another version.
    OutputError
        If it is a URL.
    """
    check_local(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Scores of images are private.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o600))
        if not stat.S_ISREG(path.stat().st_mode):
            raise CacheError(f"cannot use the cache {path}: it is not a regular file")
        connection = sqlite3.connect(
            path.absolute(),
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            return connection, _set_up_in_turn(connection, path)
        except BaseException:
            connection.close()
            raise
    except (OSError, ValueError, *FAILURES) as error:  # ValueError: a NUL in the name
        said = (isinstance(error, OSError) and error.strerror) or error
        raise CacheError(f"cannot use the cache {path}: {said}") from error


def _set_up_in_turn(connection: sqlite3.Connection, path: Path) -> bytes:
    """Set up a database that another process may be setting up at the same time.

    SQLite reports the file as locked to some of them at once, to avoid a deadlock.
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return _set_up(connection, path)
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _set_up(connection: sqlite3.Connection, path: Path) -> bytes:
    """Create the tables of an empty database, convert those of older schemas, and give the salt."""
    connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")  # for an empty file
    if not _is_empty(connection):
        _check_schema(connection, path)
        if connection.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            connection.execute("VACUUM")  # which changes it in a file of an earlier version
    # With a write-ahead log and without a sync for each transaction, a crash of the machine can
    # lose the last scores, but not the file.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with transaction(connection):
        created = _is_empty(connection)
        if created:
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            _execute(connection, _TABLES)
            salt = secrets.token_bytes(_SALT_BYTES)
            connection.execute("INSERT INTO salt VALUES (?)", [salt])
        else:
            changes = [_TO_SCHEMA_2, _TO_SCHEMA_3, _TO_SCHEMA_4, _TO_SCHEMA_5, _TO_SCHEMA_6]
            for statements in changes[_check_schema(connection, path) - 1 :]:
                _execute(connection, statements)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        tables = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
        salts = [salt for (salt,) in connection.execute("SELECT salt FROM salt")]
    if created:
        # The application ID must be in the file itself: `clear` looks for it there.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    valid = [isinstance(salt, bytes) and len(salt) == _SALT_BYTES for salt in salts]
    if tables != _SCHEMA_OBJECTS or valid != [True]:
        raise CacheError(f"the cache {path} is damaged; delete it, or name another file")
    return bytes(salts[0])


def _check_schema(connection: sqlite3.Connection, path: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        raise CacheError(f"{path} is not a cache of nsfwscan; name another file")
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if not 1 <= schema <= SCHEMA:
        raise CacheError(
            f"the cache {path} was written by another version of nsfwscan (schema {schema}, "
            f"expected {SCHEMA}); name another file with --cache, or use --no-cache"
        )
    return int(schema)


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements one by one: `executescript` would end the transaction."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return not tables


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make all changes or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def clear(path: Path) -> bool:
    """Delete a cache in any state, and return whether it existed.

    Raises
    ------
    CacheError
        If the file is not a cache, or cannot be deleted.
    """
    try:
        head = b""
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                head = file.read(72)
        ours = head[68:] == _APPLICATION_ID.to_bytes(4, "big")
        if not ours and path != default_path():  # a damaged file there is ours
            raise CacheError(f"{path} is not a cache of nsfwscan; to delete it, use another tool")
        for file_ in files_of(path):
            file_.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CacheError(f"cannot delete the cache {path}: {error.strerror}") from error
    return True
