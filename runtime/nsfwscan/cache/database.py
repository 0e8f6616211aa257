"""The file of the cache: where it lies, how it is opened and set up, and how it is deleted."""

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

SCHEMA = 1
_APPLICATION_ID = 0x6E736677  # "nsfw", where SQLite keeps such marks (byte 68 of the file)
_BUSY_SECONDS = 3.0
_SALT_BYTES = 32
_BESIDE = ("", "-wal", "-shm", "-journal")

_TABLES = """
CREATE TABLE salt (salt BLOB NOT NULL);
CREATE TABLE verdict (
  sha256 BLOB, question BLOB, model BLOB NOT NULL, score REAL NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, frames INTEGER NOT NULL, scan INTEGER NOT NULL,
  PRIMARY KEY (sha256, question)
) WITHOUT ROWID;
CREATE TABLE place (
  place BLOB PRIMARY KEY, stamp BLOB NOT NULL, sha256 BLOB NOT NULL, sha1 BLOB NOT NULL
) WITHOUT ROWID;
"""

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What a file that is damaged raises: the second where SQLite quotes it in its complaint."""

_SCHEMA_OBJECTS = [("table", "place"), ("table", "salt"), ("table", "verdict")]


def default_path() -> Path:
    """Give the place of the cache: in the user's cache folder.

    Raises
    ------
    CacheError
        If the user has no home.
    """
    try:
        return platformdirs.user_cache_path("nsfwscan", appauthor=False) / "verdicts.sqlite"
    except RuntimeError as error:
        raise CacheError(f"there is no place for the cache: {error}") from error


def files_of(path: Path | None) -> list[Path]:
    """Give the files that SQLite keeps for a database."""
    return [] if path is None else [path.with_name(path.name + end) for end in _BESIDE]


def open_cache(path: Path | None) -> tuple[sqlite3.Connection, bytes]:
    """Open a cache, made and set up where there is none yet.

    Parameters
    ----------
    path
        The file; None: a private one that is gone once it is closed.

    Returns
    -------
    connection : sqlite3.Connection
        May be used from any thread, by one at a time.
    salt : bytes
        32 random bytes of this cache, the key of its hashes of paths.

    Raises
    ------
    CacheError
        If it cannot be opened, is damaged, or was written by another version.
    """
    try:
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Verdicts on images are nobody else's business.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o600))
            if not stat.S_ISREG(path.stat().st_mode):
                raise CacheError(f"cannot use the cache {path}: it is no regular file")
        # An empty name is SQLite's for a database that spills into a nameless file.
        connection = sqlite3.connect(
            "" if path is None else path.absolute(),
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


def _set_up_in_turn(connection: sqlite3.Connection, path: Path | None) -> bytes:
    """Set up what others may be setting up at this moment.

    SQLite tells some of them at once that the file is locked, lest they wait for each other.
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


def _set_up(connection: sqlite3.Connection, path: Path | None) -> bytes:
    """Make the tables if there is nothing yet, and give the salt."""
    if not _is_empty(connection):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION_ID:
            raise CacheError(f"{path} is no cache of nsfwscan; name another file")
        if schema != SCHEMA:
            raise CacheError(
                f"the cache {path} was written by another version of nsfwscan (schema {schema}, "
                f"expected {SCHEMA}); name another file with --cache, or use --no-cache"
            )
    # Written ahead and not synchronised at each step: what a crash of the machine may cost is the
    # last verdicts, never the file.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with transaction(connection):
        made = _is_empty(connection)
        if made:
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            for table in _TABLES.split(";"):
                connection.execute(table)
            salt = secrets.token_bytes(_SALT_BYTES)
            connection.execute("INSERT INTO salt VALUES (?)", [salt])
        tables = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
        salts = [salt for (salt,) in connection.execute("SELECT salt FROM salt")]
    if made:
        # The mark that it is ours must stand in the file itself, whatever happens next.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ours = [isinstance(salt, bytes) and len(salt) == _SALT_BYTES for salt in salts]
    if tables != _SCHEMA_OBJECTS or ours != [True]:
        raise CacheError(f"the cache {path} is damaged; delete it, or name another file")
    return bytes(salts[0])


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return not tables


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make all changes, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def clear(path: Path) -> bool:
    """Delete a cache, whatever state it is in; tell whether there was one.

    Raises
    ------
    CacheError
        If it is no cache, or cannot be deleted.
    """
    try:
        head = b""
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                head = file.read(72)
        ours = head[68:] == _APPLICATION_ID.to_bytes(4, "big")
        if not ours and path != default_path():  # there, what is damaged can only be ours
            raise CacheError(f"{path} is no cache of nsfwscan; delete it yourself if you mean to")
        for file_ in files_of(path):
            file_.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CacheError(f"cannot delete the cache {path}: {error.strerror}") from error
    return True
