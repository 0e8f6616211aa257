"""Lists of files in tables: the column of paths in Parquet, CSV and JSON Lines.

A row without a path is a problem, so that nothing is missed silently.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from nsfwscan.errors import InputError, Reason
from nsfwscan.sources.entry import Problem
from nsfwscan.util.encoding import not_utf8
from nsfwscan.util.escape import from_unicode

COLUMNS = ("path", "location", "url", "file", "key", "Key")
"""Names of the column of paths; the first one that a table has counts."""

BUCKETS = {"key": "bucket", "Key": "Bucket"}
"""Names of a column of buckets of S3, which makes keys URLs, as in an inventory of S3."""

_LATEST, _MARKER = ("is_latest", "IsLatest"), ("is_delete_marker", "IsDeleteMarker")
"""Columns of an inventory of S3 that say which rows are no objects any more."""

_NO_NAME = re.compile(r".*[./]|\d*\Z")
"""What no name of a column has or is."""

ENDINGS = (".parquet", ".csv", ".jsonl")
"""Endings of the names of tables. Any other list has one path on each line."""


def is_table(path: Path) -> bool:
    """Tell by its name whether a list is a table."""
    return path.suffix.lower() in ENDINGS


def read_table(stream: BinaryIO, path: Path) -> Iterator[str | Problem]:
    """Yield the paths of a table, row by row, and a problem for a row without one.

    In a table with a column of buckets, what is an old version or a delete marker is left out.

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

            return _from_parquet(stream, path, parquetfile)
        case ".csv":
            return _from_csv(stream, path)
        case _:
            return _from_json_lines(stream, path)


def _columns(names: Iterable[str], path: Path) -> list[str]:
    """Return the column of paths or, as an inventory has them, all that `_joined` knows."""
    there = list(names)
    for name in COLUMNS:
        if name in there and BUCKETS.get(name) in there:
            return [one for one in (BUCKETS[name], name, *_LATEST, *_MARKER) if one in there]
        if name in there:
            return [name]
    if path.suffix.lower() == ".csv" and any(map(_NO_NAME.match, there)):
        raise InputError(
            f"the list {path} has no header, but begins with {','.join(there)!r:.100}; add a line "
            "that names the columns, as fileSchema does in the manifest.json of an inventory of S3"
        )
    raise InputError(
        f"the list {path} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}, but "
        f"{', '.join(there) or 'none'}; rename the one of the paths"
    )


def _from_parquet(stream: BinaryIO, path: Path, parquetfile: Any) -> Iterator[str | Problem]:
    with parquetfile.open_parquet(stream, path) as file:
        names = _columns(file.schema_arrow.names, path)
        batches = file.iter_batches(parquetfile.BATCH, columns=names)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield from _joined(row, names, path, f"row {number}")


def _from_csv(stream: BinaryIO, path: Path) -> Iterator[str | Problem]:
    lines = TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        rows = csv.reader(lines, strict=True)
        names = next(rows, [])
        places = {name: names.index(name) for name in _columns(names, path)}
        for row in rows:
            if row and len(row) != len(names):
                raise InputError(
                    f"the list {path}, line {rows.line_num}: {len(row)} cells, not {len(names)}"
                )
            if row:
                cells = {name: row[place] for name, place in places.items()}
                yield from _joined(cells, list(places), path, f"line {rows.line_num}")
    except UnicodeDecodeError as error:
        raise InputError(f"the list {path} {not_utf8(error)}") from error
    except csv.Error as error:
        raise InputError(f"the list {path}, line {rows.line_num}: {error}") from error
    finally:
        lines.detach()


def _from_json_lines(stream: BinaryIO, path: Path) -> Iterator[str | Problem]:
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
        yield from _joined(value, names, path, where, unescape=False)


def _joined(
    row: Mapping[str, Any], names: Sequence[str], path: Path, where: str, *, unescape: bool = True
) -> Iterator[str | Problem]:
    """Yield the path of a row, the URL of its bucket and key, or that it has none."""
    if any(_is(row.get(name), "false") for name in _LATEST if name in names):
        return
    if any(_is(row.get(name), "true") for name in _MARKER if name in names):
        return
    parts: list[Any] = [row.get(name) for name in names if name not in {*_LATEST, *_MARKER}]
    for part in parts:
        if part is not None and not isinstance(part, str):
            raise InputError(f"the list {path}, {where}: the path is no text, but {part!r:.100}")
    if not all(parts):
        yield Problem(f"{path}, {where}", Reason.NOT_FOUND, "the row of the list names no path")
        return
    *bucket, found = parts
    found = from_unicode(found) if unescape else found
    yield f"s3://{bucket[0]}/{found}" if bucket else found


def _is(value: object, word: str) -> bool:
    """Compare a truth value, which CSV has as text."""
    return str(value).lower() == word
