import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from helpers import make_about
from pyarrow import parquet
from runtime.test_record import make_record

from nsfwscan.errors import InputError, OutputError, Reason
from nsfwscan.record import FIELDS, SCHEMA, Record
from nsfwscan.reports import parquet as module
from nsfwscan.reports.footer import Footer, Origin
from nsfwscan.reports.output import open_output, open_report
from nsfwscan.reports.parquet import read_footer
from nsfwscan.reports.results import read_results
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.shard import Shard

RECORDS = [
    make_record(path="a\udcff.jpg"),
    make_record(path="b\n\\udcff.jpg", score=0.75, allowed="a statue", status="safe"),
    make_record(path="d", status="flagged", score=0.9, classes={"a\udcff": 0.75, "b": 1.0}),
    make_record(
        path="c", status="error", score=None, reason=Reason.TRUNCATED, detail="it ends",
        sha256=None, sha1=None, width=None, height=None, frames=0,
    ),
]  # fmt: skip


def write(
    path: Path,
    records: list[Record],
    shard: Shard | None = None,
    *,
    about: dict[str, Any] | None = None,
    **counts: Any,
) -> Path:
    summary = Summary(**counts)
    with open_output(path, "parquet", raw=False) as out:
        report = open_report(out, "parquet", make_about(shard=shard, **(about or {})))
        for record in records:
            report.add(record)
            summary.add(record)
        report.close(summary)
    return path


def footer_of(path: Path) -> Footer:
    with path.open("rb") as stream:
        return read_footer(stream, path)


def test_the_records_come_back(tmp_path: Path) -> None:
    path = write(tmp_path / "r", RECORDS)
    assert list(read_results(path, pytest.fail)) == RECORDS
    assert list(read_results(write(tmp_path / "none", []), pytest.fail)) == []


def test_each_field_is_a_column_of_its_type(tmp_path: Path) -> None:
    table = parquet.read_table(write(tmp_path / "r", RECORDS))
    assert tuple(table.column_names) == FIELDS
    types = {field.name: (str(field.type), field.nullable) for field in table.schema}
    assert types["path"] == types["status"] == ("string", False)
    assert types["score"] == ("double", True)
    assert types["frames"] == ("int64", False)
    assert types["width"] == ("int64", True)
    assert types["cached"] == ("bool", False)
    assert pa.types.is_map(table.schema.field("classes").type)
    assert table["path"].to_pylist()[:2] == [r"a\udcff.jpg", "b\n\\u005cudcff.jpg"]


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "ROW_GROUP", 7)
    records = [make_record(path=str(number)) for number in range(20)]
    path = write(tmp_path / "r", records)
    metadata = parquet.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [6, 6, 6, 2]
    assert list(read_results(path, pytest.fail)) == records


def test_the_footer_says_what_was_scanned(tmp_path: Path) -> None:
    skipped = {Kind.VIDEO: 2, Kind.HIDDEN_FILE: 1}
    path = write(tmp_path / "r", RECORDS, Shard(1, 4), skipped=Counter(skipped), known=5)
    footer = json.loads(parquet.read_metadata(path).metadata[b"nsfwscan"])
    assert footer == {
        "version": "1.2.3", "model": "86" * 32, "threshold": 0.5, "schema": SCHEMA, "shard": "1/4",
        "options": {"frames": "32"}, "sources": ["photos"],
        "counts": {"found": 12, "safe": 2, "flagged": 1, "errors": 1, "known": 5,
                   "skipped": {"video": 2, "hidden file": 1}},
        "interrupted": False,
    }  # fmt: skip
    read = footer_of(path)
    assert read.origin == Origin(
        version="1.2.3",
        model="86" * 32,
        threshold=0.5,
        options={"frames": "32"},
        sources=("photos",),
    )
    assert (read.shard, read.found, read.skipped, read.interrupted) == (
        Shard(1, 4), 12, Counter(skipped), False,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_the_footer_says_that_a_scan_did_not_end(tmp_path: Path, how: str) -> None:
    ended: dict[str, Any] = {how: True}
    assert footer_of(write(tmp_path / "r", RECORDS, **ended)).interrupted
    assert footer_of(write(tmp_path / "r", RECORDS)).shard is None


def test_the_file_is_complete_or_unchanged(target: Path) -> None:
    """The warnings of the destructor of an abandoned writer would fail the test."""
    with suppress(ZeroDivisionError), open_output(target, "parquet", raw=False) as out:
        open_report(out, "parquet", make_about()).add(RECORDS[0])
        raise ZeroDivisionError
    assert target.read_text() == "before"
    write(target, RECORDS)
    assert list(read_results(target, pytest.fail)) == RECORDS


def test_the_error_for_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        write(Path("/dev/full"), RECORDS)


@pytest.mark.parametrize("end", [4, 100, -9])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, end: int) -> None:
    path = write(tmp_path / "r", RECORDS)
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(InputError, match="/r: this is no complete Parquet file: "):
        list(read_results(path, pytest.fail))
    with pytest.raises(InputError, match="/r: this is no complete Parquet file: "):
        footer_of(path)


def test_damaged_rows_are_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "r", RECORDS)
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(200) + data[204:])
    with pytest.raises(InputError, match="/r: this is no complete Parquet file: "):
        list(read_results(path, pytest.fail))


def test_no_score_changes_unnoticed(tmp_path: Path) -> None:
    path = write(tmp_path / "r", [make_record(score=number / 100) for number in range(100)])
    column = parquet.read_metadata(path).row_group(0).column(FIELDS.index("score"))
    data = bytearray(path.read_bytes())
    data[column.dictionary_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="/r: this is no complete Parquet file: could not"):
        list(read_results(path, pytest.fail))


def test_another_table_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "r"
    parquet.write_table(pa.table({"path": ["a.jpg"]}), path)
    with pytest.raises(InputError, match="/r, record 1: "):
        list(read_results(path, pytest.fail))
    for footer in ("{}", "[]", "x", '{"counts": 1, "shard": null}'):
        table = pa.table({"path": ["a.jpg"]}).replace_schema_metadata({"nsfwscan": footer})
        parquet.write_table(table, path)
        with pytest.raises(InputError, match="this is no report of a scan; pass what nsfwscan"):
            footer_of(path)


def test_an_invalid_field_is_named(tmp_path: Path) -> None:
    table = parquet.read_table(write(tmp_path / "r", RECORDS))
    score = table.column_names.index("score")
    wrong = table.set_column(score, "score", pa.array([0.5, 1.5, 0.5, None]))
    parquet.write_table(wrong, tmp_path / "r")
    with pytest.raises(InputError, match="/r, record 2: the field score has the invalid"):
        list(read_results(tmp_path / "r", pytest.fail))
