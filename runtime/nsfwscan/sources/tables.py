"""Lists of files in tables: the column of paths in Parquet, CSV and JSON Lines."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from nsfwscan.errors import InputError
from nsfwscan.util.encoding import not_utf8
from nsfwscan.util.escape import from_unicode

COLUMNS = ("path", "location", "url", "file", "key", "Key")
"""Names of the column of paths; the first one that a table has counts."""

BUCKETS = {"key": "bucket", "Key": "Bucket"}
"""Names of a column of buckets of S3, which makes keys URLs, as in an inventory of S3."""

ENDINGS = (".parquet", ".csv", ".jsonl")
"""Endings of the names of tables. Any other list has one path on each line."""


def is_table(path: Path) -> bool:
    """Tell by its name whether a list is a table."""
    return path.suffix.lower() in ENDINGS


def read_table(stream: BinaryIO, path: Path) -> Iterator[str]:
    """Yield the paths of a table, row by row. Empty ones are left out.

    Parameters
    ----------
    stream
        The open file.
    path
        Its name, whose ending tells the format. Parquet needs the extra ``parquet``.

    Raises
    ------
    InputError
        If the table cannot be read, or has no column of paths. The message names the line.
    """
    match path.suffix.lower():
        case ".parquet":
            # Here, and not when the scan has begun: pyarrow may be missing.
            from nsfwscan.util import parquetfile  # noqa: PLC0415

            found = _from_parquet(stream, path, parquetfile)
        case ".csv":
            found = _from_csv(stream, path)
        case _:
            found = _from_json_lines(stream, path)
    return filter(None, found)


def _columns(names: Iterable[str], path: Path) -> list[str]:
    """Return the name of the column of paths, after that of the buckets if there is one."""
    there = list(names)
    for name in COLUMNS:
        if name in there:
            return [one for one in (BUCKETS.get(name), name) if one in there]
    raise InputError(
        f"the list {path} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}, but "
        f"{', '.join(there) or 'none'}; rename the one of the paths"
    )


def _from_parquet(stream: BinaryIO, path: Path, parquetfile: Any) -> Iterator[str]:
    with parquetfile.open_parquet(stream, path) as file:
        names = _columns(file.schema_arrow.names, path)
        for batch in file.iter_batches(parquetfile.BATCH, columns=names):
            columns = (batch.column(name).to_pylist() for name in names)
            for number, values in enumerate(zip(*columns, strict=True), start=1):
                yield _joined(["" if one is None else one for one in values], path, f"row {number}")


def _from_csv(stream: BinaryIO, path: Path) -> Iterator[str]:
    lines = TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        rows = csv.reader(lines, strict=True)
        names = next(rows, [])
        places = [names.index(name) for name in _columns(names, path)]
        for row in rows:
            if row and len(row) != len(names):
                raise InputError(
                    f"the list {path}, line {rows.line_num}: {len(row)} cells, not {len(names)}"
                )
            if row:
                yield _joined([row[place] for place in places], path, f"line {rows.line_num}")
    except UnicodeDecodeError as error:
        raise InputError(f"the list {path} {not_utf8(error)}") from error
    except csv.Error as error:
        raise InputError(f"the list {path}, line {rows.line_num}: {error}") from error
    finally:
        lines.detach()


def _from_json_lines(stream: BinaryIO, path: Path) -> Iterator[str]:
    names = None
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the list {path}, {where}: this is no JSON") from error
        if not isinstance(value, dict):
            raise InputError(f"the list {path}, {where}: this is no JSON object")
        names = names or _columns(value, path)
        yield _joined([value.get(name) for name in names], path, where, unescape=False)


def _joined(values: Sequence[Any], path: Path, where: str, *, unescape: bool = True) -> str:
    """Return the path of a row, or the URL of bucket and key."""
    for value in values:
        if not isinstance(value, str):
            raise InputError(f"the list {path}, {where}: the path is no text, but {value!r:.100}")
    *bucket, found = values
    found = from_unicode(found) if unescape else found
    return f"s3://{bucket[0]}/{found}" if bucket and found else found
