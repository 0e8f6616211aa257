"""Open files in Parquet. They need pyarrow, which the extra ``parquet`` installs."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa  # noqa: TID253 - imported only where it is used
from pyarrow import parquet  # noqa: TID253

from nsfwscan.errors import InputError

ROW_GROUP = 1 << 15
"""Most rows of a row group that is written."""

BATCH = 1 << 12
"""Rows that are read at a time."""


@contextmanager
def open_parquet(stream: BinaryIO, path: Path) -> Iterator[parquet.ParquetFile]:
    """Read an open file as Parquet, until the block ends.

    Raises
    ------
    InputError
        If it is none, or, within the block, turns out to be damaged.
    """
    if not stream.seekable():
        raise InputError(f"cannot read {path}: Parquet is read from its end; save it as a file")
    try:
        with parquet.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"{path}: this is no complete Parquet file: {said}") from error


def parquet_writer(file: BinaryIO, schema: pa.Schema) -> parquet.ParquetWriter:
    """Return a writer of an open file. Closing it does not close the file."""
    return parquet.ParquetWriter(_Sink(file), schema, compression="zstd", write_page_checksum=True)


class _Sink(io.RawIOBase):
    """Writes to a file, and nowhere once the file is closed.

    The destructor of an abandoned writer would otherwise complain about a scan that failed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self._file.closed else self._file.write(data)
