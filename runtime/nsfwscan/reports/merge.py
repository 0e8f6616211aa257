"""Bring the reports of all shards of a scan together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyarrow import RecordBatch

from nsfwscan.errors import InputError
from nsfwscan.reports.footer import Footer
from nsfwscan.reports.parquet import ParquetTable, read_batches, read_footer
from nsfwscan.reports.results import is_parquet
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.shard import Shard
from nsfwscan.util.escape import from_unicode
from nsfwscan.util.inputs import open_input

_NAMED = 10
"""Most missing shards that a message names."""


def read_parts(paths: Iterable[Path]) -> list[tuple[Path, Footer]]:
    """Read the footers of the reports of all shards.

    Returns
    -------
    list of (Path, Footer)
        In the order of the shards.

    Raises
    ------
    InputError
        If they are not those of one scan, each shard once and complete. The message names the file
        or the shard.
    """
    parts = [(path, _footer(path)) for path in paths]
    found: dict[int, tuple[Path, Footer]] = {}
    for path, footer in parts:
        shard = _checked(path, footer, *parts[0])
        if shard.index in found:
            raise InputError(f"{found[shard.index][0]} and {path} are both of shard {shard}")
        found[shard.index] = path, footer
    _check_complete(found, _shard(*parts[0]).count)
    return [found[index] for index in sorted(found)]


def _footer(path: Path) -> Footer:
    with open_input(path) as stream:
        if not is_parquet(stream):
            raise InputError(
                f"{path}: this is no Parquet file; pass what nsfwscan --shard I/N --format parquet "
                "has written"
            )
        return read_footer(stream, path)


def _checked(path: Path, footer: Footer, first: Path, expected: Footer) -> Shard:
    """Return the shard of a part that is complete and of the same scan as the first part."""
    shard = _shard(path, footer)
    if footer.interrupted:
        raise InputError(f"{path}: its scan did not come to its end; scan shard {shard} again")
    if shard.count != (count := _shard(first, expected).count):
        raise InputError(f"{path} is one of {shard.count} shards, and {first} one of {count}")
    for name, said in (
        ("model", "model"),
        ("threshold", "threshold"),
        ("version", "version of nsfwscan"),
        ("schema", "schema of the records"),
    ):
        _require_equal(
            path, first, said, getattr(footer.origin, name), getattr(expected.origin, name)
        )
    given, wanted = (", ".join(one.origin.sources) for one in (footer, expected))
    _require_equal(path, first, "choice of files and folders", given, wanted)
    options, others = footer.origin.options, expected.origin.options
    for name in sorted(options.keys() | others.keys()):
        option = "--" + name.replace("_", "-")
        _require_equal(path, first, option, options.get(name, "none"), others.get(name, "none"))
    return shard


def _require_equal(path: Path, first: Path, what: str, here: object, there: object) -> None:
    if here != there:
        raise InputError(f"{path} has another {what} than {first}: {here}, not {there}")


def _shard(path: Path, footer: Footer) -> Shard:
    if footer.shard is None:
        raise InputError(f"{path}: this is the report of a whole scan, not of a shard")
    return footer.shard


def _check_complete(found: dict[int, tuple[Path, Footer]], count: int) -> None:
    missing = count - len(found)
    if missing:
        candidates = range(min(count, len(found) + _NAMED))
        named = [str(Shard(index, count)) for index in candidates if index not in found][:_NAMED]
        more = f" and {missing - len(named):,} more" if missing > len(named) else ""
        raise InputError(f"shards without a report: {', '.join(named)}{more}")


def copy_records(
    parts: Sequence[tuple[Path, Footer]], table: ParquetTable, summary: Summary
) -> None:
    """Copy the rows of all parts, and count them and what the parts have skipped.

    Rows stay columns: a record of each row would take many times as long.

    Raises
    ------
    InputError
        If a record does not belong to its shard, or the records are not those of the footer.
    """
    for path, footer in parts:
        statuses = Counter[str]()
        with open_input(path) as stream:
            for batch in read_batches(stream, path):
                _check_locations(path, _shard(path, footer), batch)
                statuses.update(batch.column("status").to_pylist())
                summary.uncertain += batch.column("uncertain").true_count
                summary.allowed += batch.num_rows - batch.column("allowed").null_count
                table.add(batch)
        if statuses != Counter(safe=footer.safe, flagged=footer.flagged, error=footer.errors):
            raise InputError(f"{path}: its records are not those that its footer counts")
        summary.safe += footer.safe
        summary.flagged += footer.flagged
        summary.errors += footer.errors
        summary.known += footer.known
        summary.skipped += footer.skipped


def _check_locations(path: Path, shard: Shard, batch: RecordBatch) -> None:
    for location in map(from_unicode, batch.column("path").to_pylist()):
        if not shard.holds(location):
            raise InputError(f"{path}: the record of {location} is not of shard {shard}")
