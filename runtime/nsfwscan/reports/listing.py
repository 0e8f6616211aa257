"""A list of files in Parquet, CSV or JSON Lines, which ``--files-from`` reads."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from nsfwscan.errors import OutputError
from nsfwscan.sources.entry import Entry, Problem, SourceError
from nsfwscan.sources.remote.entries import RemoteEntry
from nsfwscan.sources.tables import ENDINGS
from nsfwscan.util.escape import to_json, to_unicode
from nsfwscan.util.files import atomic_write, is_special

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """A file: its path, its size in bytes, and when it was modified; None if unknown."""

    path: str
    size: int | None
    modified: datetime | None


def row_of(found: Entry | Problem) -> Row:
    """Look a file up, without opening it."""
    if isinstance(found, RemoteEntry):
        try:
            details = found.details()
        except SourceError:
            return Row(found.location, None, None)
        return Row(found.location, details.size, details.modified)
    if isinstance(found, Entry):
        try:
            status = os.stat(found.location, follow_symlinks=found.follows)
        except (OSError, ValueError):
            return Row(found.location, None, None)
        modified = _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
        return Row(found.location, status.st_size, modified)
    return Row(found.location, None, None)


def _writer_of(target: Path) -> Callable[[TextIO, Iterable[Row]], None]:
    """Choose the format by the ending of the file's name.

    Raises
    ------
    OutputError
        If it is none of the known endings.
    """
    match target.suffix.lower():
        case ".parquet":
            if is_special(target):
                raise OutputError(f"cannot write {target}: Parquet goes to a regular file")
            return _write_parquet
        case ".csv":
            return _write_csv
        case ".jsonl":
            return _write_json_lines
    raise OutputError(f"cannot write {target}: its name ends in none of {', '.join(ENDINGS)}")


def write_list(target: Path, rows: Iterable[Row]) -> None:
    """Write a list, completely or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write = _writer_of(target)
    with atomic_write(target, errors="backslashreplace") as out:
        write(out, rows)


def _write_csv(out: TextIO, rows: Iterable[Row]) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in rows:
        writer.writerow((to_unicode(row.path), row.size, _iso(row)))


def _write_json_lines(out: TextIO, rows: Iterable[Row]) -> None:
    for row in rows:
        values: dict[str, Any] = row._asdict() | {"modified": _iso(row)}
        out.write(f"{to_json(values)}\n")


def _iso(row: Row) -> str | None:
    return None if row.modified is None else row.modified.isoformat()


def _write_parquet(out: TextIO, rows: Iterable[Row]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - optional

    from nsfwscan.util.parquetfile import ROW_GROUP, parquet_writer  # noqa: PLC0415

    schema = pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("size", pa.int64()),
            pa.field("modified", pa.timestamp("us", tz="UTC")),
        ]
    )
    with parquet_writer(out.buffer, schema) as writer:
        for group in _groups(rows, ROW_GROUP):
            paths, sizes, times = zip(*group, strict=True)
            columns = [list(map(to_unicode, paths)), sizes, times]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    left = iter(rows)
    while group := list(islice(left, size)):
        yield group
