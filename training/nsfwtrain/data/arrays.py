"""Cache arrays on disk by object. The cache only grows, and survives a kill at any moment.

A cache is a folder. Each writer appends records of a fixed size to its own file: the object's
SHA-1, a CRC-32, the array. Several runs may share a cache. To open it, only the SHA-1 of each
complete record is read, and memory holds the position of each array, not the arrays.

A record is checked when it is read. If one is damaged, all of its file is checked, and the damaged
records are removed: all bits of their SHA-1 are set. The next run computes these arrays again.
"""

import hashlib
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nsfwtrain.errors import CacheError

_SUFFIX = ".records"
_SHA1, _CRC, _ARRAY = slice(20), slice(20, 24), slice(24, None)
_REMOVED = b"\xff" * 20  # in place of the SHA-1


class ArrayCache:
    """Arrays of one shape and dtype, by the SHA-1 of the objects that they were computed from.

    Parameters
    ----------
    root
        Folder of all caches; created if it does not exist.
    key
        Everything the arrays depend on, apart from the object. Each key has its own folder.
    shape, dtype
        Shape and dtype of each array.

    Raises
    ------
    CacheError
        If the folder cannot be used.
    """

    def __init__(
        self, root: Path, key: Mapping[str, Any], shape: Sequence[int], dtype: DTypeLike
    ) -> None:
        self.key = dict(key) | {"shape": list(shape), "dtype": np.dtype(dtype).name}
        text = json.dumps(self.key, sort_keys=True)
        self.root = root
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:24]
        self._record = np.dtype(
            [("sha1", "u1", 20), ("crc", "<u4"), ("array", np.dtype(dtype), tuple(shape))]
        )
        self.shape = tuple(shape)
        self._files: list[Path] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self._stream: BinaryIO | None = None
        with self._errors("use"):
            self.folder.mkdir(parents=True, exist_ok=True)
            note = self.folder / "key.json"  # for people; a kill may cut it short
            if not note.exists() or note.read_text(encoding="utf-8") != text:
                note.write_text(text, encoding="utf-8")
            for path in sorted(self.folder.glob(f"*{_SUFFIX}"), key=_time):
                self._read_index(path)

    def __enter__(self) -> Self:
        """Return the cache, which closes its file at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file that this writer appends to, if it has one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __contains__(self, sha1: str) -> bool:
        """Check whether an object has an array."""
        return bytes.fromhex(sha1) in self._places

    def __len__(self) -> int:
        """Count the objects that have an array."""
        return len(self._places)

    def get(self, sha1s: Sequence[str]) -> NDArray[Any]:
        """Read the arrays of objects, in the order of `sha1s`.

        Raises
        ------
        KeyError
            If an object has no array.
        CacheError
            If a file is missing, cannot be read, or is damaged. A damaged one is mended.
        """
        field = self._record["array"]
        out = np.empty((len(sha1s), *field.shape), field.base)
        rows: dict[int, list[tuple[int, bytes, int]]] = {}
        for row, sha1 in enumerate(map(bytes.fromhex, sha1s)):
            file, offset = self._places[sha1]
            rows.setdefault(file, []).append((row, sha1, offset))
        record = memoryview(bytearray(self._record.itemsize))
        with self._errors("read"):
            for file, places in rows.items():
                with self._files[file].open("rb", buffering=0) as stream:
                    for row, sha1, offset in places:
                        stream.seek(offset)
                        count = stream.readinto(record)
                        if count < len(record) or record[_SHA1] != sha1 or not _is_intact(record):
                            self._mend(self._files[file])
                        memoryview(out[row]).cast("B")[:] = record[_ARRAY]
        return out

    def add(self, sha1s: Sequence[str], arrays: NDArray[Any]) -> None:
        """Append the arrays of objects. If an object has one already, the new one replaces it.

        Raises
        ------
        CacheError
            If the disk is full or fails. The cache keeps its earlier arrays.
        """
        records = np.zeros(len(sha1s), self._record)
        records["sha1"] = [list(bytes.fromhex(sha1)) for sha1 in sha1s]
        records["array"] = arrays
        size = self._record.itemsize
        rows = records.view(np.uint8).data
        records["crc"] = [_checksum(rows[i : i + size]) for i in range(0, len(rows), size)]
        with self._errors("write"):
            if self._stream is None:
                path = self.folder / f"{uuid.uuid4().hex}{_SUFFIX}"
                self._stream = path.open("xb", buffering=0)
                self._files.append(path)
            start = self._stream.tell()
            left = rows
            while left:
                left = left[self._stream.write(left) :]
        for i, sha1 in enumerate(sha1s):
            self._index(bytes.fromhex(sha1), start + i * size)

    def _read_index(self, path: Path) -> None:
        """Index the complete records of a file."""
        self._files.append(path)
        with path.open("rb", buffering=0) as stream:
            for offset in self._offsets(path):
                stream.seek(offset)
                self._index(stream.read(len(_REMOVED)), offset)

    def _offsets(self, path: Path) -> range:
        """Return the position of each complete record; a killed writer may leave another."""
        size = self._record.itemsize
        return range(0, path.stat().st_size // size * size, size)

    def _index(self, sha1: bytes, offset: int) -> None:
        if sha1 != _REMOVED:
            self._places[sha1] = len(self._files) - 1, offset

    def _mend(self, path: Path) -> NoReturn:
        """Remove the damaged records of a file.

        Raises
        ------
        CacheError
            Always. The message says what to do.
        """
        with path.open("r+b", buffering=0) as stream:
            for offset in self._offsets(path):
                stream.seek(offset)
                record = memoryview(stream.read(self._record.itemsize))
                if record[_SHA1] != _REMOVED and not _is_intact(record):
                    stream.seek(offset)
                    stream.write(_REMOVED)
        raise CacheError(
            f"{path} was damaged, and its damaged arrays have been removed; run the command again, "
            "with --resume if the training had begun, to compute them again"
        )

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheError(f"cannot {doing} the cache {self.folder}: {error.strerror}") from error


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns


def _is_intact(record: memoryview) -> bool:
    return _checksum(record) == int.from_bytes(record[_CRC], "little")


def _checksum(record: memoryview) -> int:
    return zlib.crc32(record[_ARRAY], zlib.crc32(record[_SHA1]))
