"""Cache arrays on disk by object. The cache only grows, and survives a kill at any moment.

A cache is a folder. Each writer appends records of a fixed size to its own file: the object's
SHA-1, a CRC-32, the array. Readers use the records of all files whose length and checksum are
right, so they never read a record that a killed writer left incomplete. Several runs may share a
cache. Memory holds the position of each array, not the arrays.
"""

import hashlib
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nsfwscan.util.files import atomic_write
from nsfwtrain.errors import CacheError

_SUFFIX = ".records"
_BLOCK = 1 << 22  # bytes of a read


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
            if not (self.folder / "key.json").exists():
                with atomic_write(self.folder / "key.json") as stream:
                    stream.write(text + "\n")
            for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
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
            If a file is missing or cannot be read.
        """
        field = self._record["array"]
        out = np.empty((len(sha1s), *field.shape), field.base)
        rows: dict[int, list[tuple[int, int]]] = {}
        for row, sha1 in enumerate(sha1s):
            file, offset = self._places[bytes.fromhex(sha1)]
            rows.setdefault(file, []).append((row, offset))
        with self._errors("read"):
            for file, places in rows.items():
                with self._files[file].open("rb", buffering=0) as stream:
                    for row, offset in places:
                        stream.seek(offset)
                        if stream.readinto(memoryview(out[row]).cast("B")) != out[row].nbytes:
                            raise OSError(0, f"{self._files[file].name} has become shorter")
        return out

    def add(self, sha1s: Sequence[str], arrays: NDArray[Any]) -> None:
        """Append the arrays of objects.

        Raises
        ------
        CacheError
            If the disk is full or fails. The cache keeps its earlier arrays.
        """
        records = np.zeros(len(sha1s), self._record)
        records["sha1"] = [list(bytes.fromhex(sha1)) for sha1 in sha1s]
        records["array"] = arrays
        records["crc"] = [_checksum(record) for record in records]
        with self._errors("write"):
            if self._stream is None:
                path = self.folder / f"{uuid.uuid4().hex}{_SUFFIX}"
                self._stream = path.open("xb", buffering=0)
                self._files.append(path)
            start = self._stream.tell()
            data = memoryview(records.tobytes())
            while data:
                data = data[self._stream.write(data) :]
        self._index(records, start)

    def _read_index(self, path: Path) -> None:
        """Index the complete and undamaged records of a file."""
        self._files.append(path)
        size = self._record.itemsize
        with path.open("rb") as stream:
            start = 0
            while count := len(data := stream.read(max(1, _BLOCK // size) * size)) // size:
                self._index(np.frombuffer(data, self._record, count), start)
                start += len(data)

    def _index(self, records: NDArray[Any], start: int) -> None:
        first = start + self._record.fields["array"][1]  # type: ignore[index]  # fields exist
        for i, record in enumerate(records):
            if _checksum(record) == record["crc"]:
                place = (len(self._files) - 1, first + i * self._record.itemsize)
                self._places.setdefault(record["sha1"].tobytes(), place)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheError(f"cannot {doing} the cache {self.folder}: {error.strerror}") from error


def _checksum(record: Any) -> int:
    return zlib.crc32(record["array"].tobytes(), zlib.crc32(record["sha1"].tobytes()))
