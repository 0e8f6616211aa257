"""Where a run on a cluster keeps its files: a folder, or a prefix of an object store."""

import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

from nsfwscan.errors import OutputError
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.entries import open_store
from nsfwscan.sources.remote.redaction import BUCKETS
from nsfwscan.sources.remote.store import Limits
from nsfwscan.sources.remote.url import is_url, parse_url
from nsfwscan.util.files import atomic_path, write_errors

_SECONDS = 300.0  # for one file of a run


class Folder(Protocol):
    """Files by name. A name may have slashes; what lies at it is complete or not there."""

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading, at any place.

        Raises
        ------
        OSError
            If it cannot be opened; FileNotFoundError if it is not there.
        """

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Give a path to write to, and put the file at its name when the block ends.

        Raises
        ------
        OutputError
            If it cannot be written.
        """


def folder_at(target: str) -> Folder:
    """Return the folder at a path, or the prefix at a URL such as ``s3://bucket/run1``."""
    if not is_url(target):
        return LocalFolder(Path(target))
    if target.partition("://")[0].lower() not in BUCKETS:
        known = ", ".join(f"{scheme}://" for scheme in BUCKETS)
        raise OutputError(f"cannot write {target}: name a folder, or a bucket ({known})")
    return StoreFolder(target)


class LocalFolder:
    """A folder of this machine, or of one that all nodes mount at the same place."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Iterator[str]:
        """Yield the names of all files, but those of temporary folders."""
        with write_errors(self._root):
            if self._root.exists() and not self._root.is_dir():
                raise OutputError(f"cannot write {self._root}: it is no folder")
        for place, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith(".nsfwscan-")]
            below = Path(place).relative_to(self._root)
            yield from ((below / name).as_posix() for name in files)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for reading."""
        with (self._root / name).open("rb") as stream:
            yield stream

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Write beside the place, and rename at the end."""
        target = self._root / name
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as path:
            yield path


class StoreFolder:
    """A prefix of an object store. Storing an object replaces it as a whole."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            self._store: Any = open_store(parse_url(self._url), Limits(_SECONDS))
        except SourceError as error:
            raise OutputError(f"cannot use {url}: {error}") from error

    def names(self) -> Iterator[str]:
        """Yield the names of all objects below the prefix."""
        from obstore import list as list_objects  # noqa: PLC0415

        with self._errors():
            for objects in list_objects(self._store):
                yield from (one["path"] for one in objects)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open an object, of which parts are fetched as they are read."""
        from obstore import open_reader  # noqa: PLC0415
        from obstore.exceptions import BaseError, NotFoundError  # noqa: PLC0415

        try:
            reader = open_reader(self._store, name)
        except (NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(f"there is no object {self._url}/{name}") from error
        except BaseError as error:
            raise OSError(f"cannot read {self._url}/{name}: {error}") from error
        yield io.BufferedReader(_Ranges(reader))

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Write to a temporary file, and store it at the end."""
        from obstore import put  # noqa: PLC0415

        with TemporaryDirectory(prefix="nsfwscan-") as place:
            path = Path(place, "object")
            yield path
            with self._errors():
                put(self._store, name, path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415

        try:
            yield
        except BaseError as error:
            said = str(error).partition("\n")[0]
            raise OutputError(f"cannot use {self._url}: {said}") from error


class _Ranges(io.RawIOBase):
    """A reader of obstore as a file of Python."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return int(self._reader.seek(place, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        data = bytes(self._reader.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)
