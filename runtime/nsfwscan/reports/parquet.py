"""The report in Parquet, for tables of many records, and how it is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, BinaryIO, TextIO, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from nsfwscan.errors import InputError
from nsfwscan.record import FIELDS, Record
from nsfwscan.reports.footer import KEY, Footer, Origin, footer_of, parse_footer
from nsfwscan.reports.report import Report
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.shard import Shard
from nsfwscan.util.escape import from_unicode, to_unicode
from nsfwscan.util.parquetfile import BATCH, ROW_GROUP, open_parquet, parquet_writer

_TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_CLASSES = pa.map_(pa.string(), pa.float64())


def _column(name: str, hint: Any) -> pa.Field:
    """Give the column of a record's field.

    Words are plain strings: the file stores each once anyway, and pandas would make a dictionary's
    column a categorical one. The classes are a map: DuckDB reads ``classes['porn']``, without
    parsing JSON.
    """
    options = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    kind = next(one for one in options if one is not NoneType)
    type_ = _CLASSES if get_origin(kind) is dict else _TYPES.get(kind, pa.string())
    return pa.field(name, type_, nullable=NoneType in options)


COLUMNS = pa.schema([_column(name, get_type_hints(Record)[name]) for name in FIELDS])


class ParquetTable:
    """Rows of records in row groups, and a footer about their scan.

    The memory holds the rows of one row group, some 10 MB.
    """

    def __init__(self, out: TextIO) -> None:
        self._writer = parquet_writer(out.buffer, COLUMNS)
        self._group: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep some rows until their row group is complete."""
        if self._rows + batch.num_rows > ROW_GROUP:
            self._write_group()
        self._group.append(batch)
        self._rows += batch.num_rows

    def _write_group(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._group, COLUMNS))
        self._group.clear()
        self._rows = 0

    def close(self, footer: Footer) -> None:
        """Write the last rows and the footer."""
        self._write_group()
        self._writer.add_key_value_metadata({KEY: footer.to_json()})
        self._writer.close()


class ParquetReport(Report):
    """A column for each field of a record, and a footer about the scan."""

    def __init__(self, out: TextIO, origin: Origin, shard: Shard | None) -> None:
        super().__init__(out)
        self._origin = origin
        self._shard = shard
        self._records: list[Record] = []
        self._table = ParquetTable(out)

    def add(self, record: Record) -> None:
        """Keep a record until there are enough for a batch."""
        self._records.append(record)
        if len(self._records) == BATCH:
            self._add_batch()

    def _add_batch(self) -> None:
        self._table.add(to_batch(self._records))
        self._records.clear()

    def close(self, summary: Summary) -> None:
        """Write the last records and the footer."""
        self._add_batch()
        self._table.close(footer_of(self._origin, self._shard, summary))
        super().close(summary)


def to_batch(records: Sequence[Record]) -> pa.RecordBatch:
    """Return records as rows with the columns of the report."""
    columns = [
        pa.array((_cell(getattr(one, column.name)) for one in records), column.type)
        for column in COLUMNS
    ]
    return pa.RecordBatch.from_arrays(columns, schema=COLUMNS)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return to_unicode(value)
    if isinstance(value, dict):
        return [(to_unicode(name), score) for name, score in value.items()]
    return value


def read_rows(stream: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
    """Read the rows of a report, as `Record.to_dict` gives them.

    Parameters
    ----------
    stream
        The open file.
    path
        Its name, for messages.

    Raises
    ------
    InputError
        If it is not Parquet.
    """
    with open_parquet(stream, path) as file:
        maps = [column.name for column in file.schema_arrow if pa.types.is_map(column.type)]
        for batch in file.iter_batches(BATCH):
            for row in batch.to_pylist():
                for name in maps:
                    row[name] = None if row[name] is None else dict(row[name])
                yield {name: _value(value) for name, value in row.items()}


def _value(cell: Any) -> Any:
    if isinstance(cell, str):
        return from_unicode(cell)
    if isinstance(cell, dict):
        return {_value(name): score for name, score in cell.items()}
    return cell


def read_batches(stream: BinaryIO, path: Path) -> Iterator[pa.RecordBatch]:
    """Read the rows of a report that this version has written, as they are.

    Raises
    ------
    InputError
        If it is not Parquet, or has other columns.
    """
    with open_parquet(stream, path) as file:
        if not file.schema_arrow.equals(COLUMNS):
            raise _not_a_report(path)
        yield from file.iter_batches(BATCH)


def read_footer(stream: BinaryIO, path: Path) -> Footer:
    """Read the footer of a report.

    Raises
    ------
    InputError
        If it is not Parquet, or no report.
    """
    with open_parquet(stream, path) as file:
        text = (file.metadata.metadata or {}).get(KEY.encode())
        try:
            return parse_footer(text or b"")
        except (ValueError, TypeError, KeyError, AttributeError, InputError) as error:
            raise _not_a_report(path) from error


def _not_a_report(path: Path) -> InputError:
    return InputError(
        f"{path}: this is no report of a scan; pass what nsfwscan --format parquet has written"
    )
