"""Arrays on disk, by object: a cache that only grows and may be killed at any moment.

A cache is a folder. Each writer appends fixed-size records to a file of its own: the object's
SHA-1, a CRC-32, the array. Readers take the whole records of all files; what a killed writer left
half-written fails its length or its checksum and is never read back. Several runs may share one.
"""

import hashlib
import json
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nsfwtrain.errors import CacheError

_SUFFIX = ".records"


class ArrayCache:
    """Arrays of one shape, by the SHA-1 of the object they were made from.

    Parameters
    ----------
    root
        Folder of all caches; made if it does not exist.
    key
        What the arrays depend on besides the object; it becomes the cache's own folder.
    shape, dtype
        Of each array.

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
        self._files: list[NDArray[Any]] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self._stream: BinaryIO | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "key.json").write_text(text + "\n", encoding="utf-8")
            for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
                self._read(path)
        except OSError as error:
            raise CacheError(f"cannot use the cache {self.folder}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Use the cache for a while."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the file that is written, if one is."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __contains__(self, sha1: str) -> bool:
        """Tell whether there is an array for an object's SHA-1."""
        return bytes.fromhex(sha1) in self._places

    def __len__(self) -> int:
        """Count the objects that have an array."""
        return len(self._places)

    def get(self, sha1s: Sequence[str]) -> NDArray[Any]:
        """Read the arrays of some objects, in their order.

        Raises
        ------
        KeyError
            If one has none.
        """
        out = np.empty((len(sha1s), *self._record["array"].shape), self._record["array"].base)
        for row, sha1 in enumerate(sha1s):
            file, place = self._places[bytes.fromhex(sha1)]
            out[row] = self._files[file][place]["array"]
        return out

    def add(self, sha1: str, array: NDArray[Any]) -> None:
        """Append an object's array; it can be read after the next `reload`.

        Raises
        ------
        CacheError
            If the disk is full or fails. What was written before stays.
        """
        record = np.zeros(1, self._record)
        record["sha1"] = np.frombuffer(bytes.fromhex(sha1), np.uint8)
        record["array"] = array
        record["crc"] = zlib.crc32(record["array"].tobytes(), zlib.crc32(record["sha1"].tobytes()))
        try:
            if self._stream is None:
                path = self.folder / f"{uuid.uuid4().hex}{_SUFFIX}"
                self._stream = path.open("xb", buffering=0)
            data = memoryview(record.tobytes())
            while data:
                data = data[self._stream.write(data) :]
        except OSError as error:
            raise CacheError(f"cannot write the cache {self.folder}: {error.strerror}") from error

    def reload(self) -> None:
        """Read what was added, here and by others, since the cache was opened."""
        self._files, self._places = [], {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            self._read(path)

    def _read(self, path: Path) -> None:
        count = path.stat().st_size // self._record.itemsize
        if not count:
            return
        records = np.memmap(path, self._record, mode="r", shape=(count,))
        for place in range(count):
            record = records[place]
            sha1 = record["sha1"].tobytes()
            if zlib.crc32(record["array"].tobytes(), zlib.crc32(sha1)) == record["crc"]:
                self._places.setdefault(sha1, (len(self._files), place))
        self._files.append(records)
