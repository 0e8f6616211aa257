"""The list of a run: what it reads, in numbered blocks.

The list is frozen when the run begins, so that a resumed run reads the same, whatever has come to
the source since. Each block is a row group of one Parquet file.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet

from nsfwscan.errors import Reason
from nsfwscan.limits import TIMEOUT
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.remote.entries import Remote, RemoteEntry
from nsfwscan.util.escape import from_unicode, to_unicode
from nsfwscan.util.parquetfile import parquet_writer

NAME = "manifest.parquet"
"""The file in the folder of the run."""

_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("explicit", pa.bool_(), nullable=False),
        pa.field("follow", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


def write_blocks(
    path: Path, found: Iterable[Found], size: int, skipped: Counter[Kind]
) -> Iterator[int]:
    """Write what a source has found, and count what is not to be read.

    Parameters
    ----------
    path
        The new file.
    found
        The entries and problems, which are written, and what is skipped.
    size
        Entries of a block; the last one may have fewer.
    skipped
        Gets the numbers of skipped entries by kind.

    Yields
    ------
    int
        The number of entries and problems so far, after each block.
    """
    count = 0
    with path.open("wb") as out, parquet_writer(out, _SCHEMA) as writer:
        for block in _groups(_listed(found, skipped), size):
            columns = zip(*map(_row, block), strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
            count += len(block)
            yield count


def _listed(found: Iterable[Found], skipped: Counter[Kind]) -> Iterator[Entry | Problem]:
    for one in found:
        if isinstance(one, Skipped):
            skipped[one.kind] += 1
        else:
            yield one


def _groups(found: Iterator[Entry | Problem], size: int) -> Iterator[Sequence[Entry | Problem]]:
    while group := list(islice(found, size)):
        yield group


def _row(found: Entry | Problem) -> tuple[str, bool, bool, str | None, str | None]:
    # The whole URL of an object: the query of a web address can be its signature.
    path = to_unicode(found.url if isinstance(found, RemoteEntry) else found.location)
    if isinstance(found, Problem):
        return path, False, False, found.reason, to_unicode(found.detail)
    return path, found.explicit, found.follow, None, None


class Blocks:
    """The blocks of an open list.

    Parameters
    ----------
    stream
        The open file.
    timeout
        Most seconds that the bytes of a URL may take to arrive.
    """

    def __init__(self, stream: BinaryIO, timeout: float = TIMEOUT) -> None:
        self._remote = Remote(timeout)
        self._file = parquet.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)

    @property
    def entries(self) -> int:
        """The number of entries in all blocks."""
        return int(self._file.metadata.num_rows)

    def read(self, number: int) -> list[Entry | Problem]:
        """Return the entries and problems of a block, in order."""
        return [self._found(**row) for row in self._file.read_row_group(number).to_pylist()]

    def _found(
        self, path: str, *, explicit: bool, follow: bool, reason: str | None, detail: str | None
    ) -> Entry | Problem:
        location = from_unicode(path)
        if reason is not None:
            return Problem(location, Reason(reason), from_unicode(detail or ""))
        return self._remote.entry_at(location, explicit=explicit, follow=follow)
