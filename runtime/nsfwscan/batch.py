"""Score tables of images: one function for any engine that passes Arrow tables to Python.

It needs the extra ``parquet``.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from io import BytesIO
from os import PathLike, fspath
from typing import Any, NoReturn

import pyarrow as pa

from nsfwscan.errors import ImageError, InputError
from nsfwscan.inference.classifier import Classifier
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.inflight import Outcome
from nsfwscan.record import Record
from nsfwscan.reports.parquet import to_batch
from nsfwscan.scanner import record_of, scan
from nsfwscan.sources.entry import Entry, Problem, Skipped
from nsfwscan.sources.reader import not_an_image
from nsfwscan.sources.remote.entries import Remote
from nsfwscan.sources.tables import COLUMNS
from nsfwscan.util.escape import from_unicode

BYTES = "bytes"
"""The name of the column of images."""

NAMELESS = "-"
"""The path in the record of bytes without one, as of an image on standard input."""

_TEXT = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null,
)  # fmt: skip
_BINARY = (
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null,
    pa.types.is_fixed_size_binary,
)  # fmt: skip

_loading = threading.Lock()


def score_table(
    table: pa.Table,
    *,
    model: str | PathLike[str] | None = None,
    manifest: str | PathLike[str] | None = None,
    device: str = "auto",
    threshold: float | str | None = None,
    classes: bool = False,
    options: ScanOptions | None = None,
    **changes: Any,
) -> pa.Table:
    """Score the images of a table.

    The model of the last call, and the processes that decode, stay in this process for the next
    call.

    Parameters
    ----------
    table
        A column ``bytes`` (binary) of images, or one of their locations, which is named ``path``,
        ``location``, ``url``, ``file``, ``key`` or ``Key``. With both, the location becomes the
        record's ``path``, and its extension helps to recognise the format.
    model, manifest, device
        As `path`, `manifest` and `device` of `nsfwscan.Classifier.load`.
    threshold, classes, options, **changes
        As in `nsfwscan.scan`.

    Returns
    -------
    pyarrow.Table
        A record for each row, in the order of the rows, with the columns of the report in Parquet.
        A row that is no image is an error with the reason ``not-a-picture``, and one without a
        location or bytes (null) is an error too.

    Raises
    ------
    InputError
        If the table has no such column, or one of another type.
    ValueError, TypeError
        As `nsfwscan.scan`.
    ModelError, ManifestError, EngineError, DeviceError
        As `nsfwscan.Classifier.load`.
    """
    options = replace(options or ScanOptions(), **changes)
    entries = _entries(table, Remote(options.timeout))
    with _loading:
        classifier = _classifier(
            None if model is None else fspath(model),
            None if manifest is None else fspath(manifest),
            device,
        )
    records: list[Record] = []

    def add_skipped(found: Skipped) -> None:
        problem = not_an_image(found)
        error = ImageError(problem.reason, problem.detail)
        records.append(to_record(Outcome(found.location, error=error)))

    run = scan(
        entries,
        classifier,
        options=options,
        threshold=threshold,
        classes=classes,
        on_skipped=add_skipped,
    )
    to_record = partial(record_of, classifier, run.threshold, 0.0, ())
    with run:
        for record in run:  # calls add_skipped in between, so that the order is kept
            records.append(record)  # noqa: PERF402
    return pa.Table.from_batches([to_batch(records)])


@lru_cache(maxsize=1)
def _classifier(model: str | None, manifest: str | None, device: str) -> Classifier:
    return Classifier.load(model, manifest=manifest, device=device)


def _entries(table: pa.Table, remote: Remote) -> Iterator[Entry | Problem]:
    """Give the entry of each row."""
    location = next((name for name in COLUMNS if name in table.column_names), None)
    if location is None and BYTES not in table.column_names:
        raise InputError(
            f"the table has no column {BYTES}, {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}, but "
            f"{', '.join(table.column_names) or 'none'}; rename the one of the images"
        )
    paths: Iterable[pa.Scalar] = (
        pa.nulls(table.num_rows) if location is None else _column(table, location, pa.string())
    )
    if BYTES in table.column_names:
        return map(_entry_of_bytes, paths, _column(table, BYTES, pa.large_binary()))
    return map(partial(_entry_of_location, remote), paths)


def _column(table: pa.Table, name: str, type_: pa.DataType) -> Iterable[pa.Scalar]:
    """Return a column as one of the given type."""
    if table.column_names.count(name) > 1:
        raise InputError(f"the table has two columns {name}; rename one")
    column = table.column(name)
    found = column.type
    if pa.types.is_dictionary(found):
        found = found.value_type
    called, tests = ("text", _TEXT) if type_ == pa.string() else ("binary", _BINARY)
    if not any(test(found) for test in tests):
        raise InputError(f"the column {name} must be {called}, got {column.type}")
    cast: Iterable[pa.Scalar] = column.cast(type_)
    return cast


def _entry_of_bytes(name: pa.Scalar, image: pa.Scalar) -> Entry:
    location = from_unicode(name.as_py() or NAMELESS)
    if not image.is_valid:
        return Entry(location, explicit=True, open=_no_bytes)
    return Entry(location, explicit=True, open=lambda: BytesIO(image.as_buffer()))


def _entry_of_location(remote: Remote, name: pa.Scalar) -> Entry | Problem:
    if not name.is_valid:
        return Entry("", explicit=True, open=_no_bytes)
    return remote.entry_at(from_unicode(name.as_py()))


def _no_bytes() -> NoReturn:
    raise OSError("the row of the table has none (null)")
