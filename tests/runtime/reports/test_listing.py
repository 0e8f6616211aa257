import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet

from nsfwscan.errors import OutputError, Reason
from nsfwscan.reports.listing import Row, row_of, write_list
from nsfwscan.sources.entry import Entry, Problem
from nsfwscan.sources.tables import ENDINGS, read_table

TIME = datetime(2026, 11, 28, 2, 4, 5, 678901, tzinfo=UTC)
ROWS = [
    Row("a.jpg", 12, TIME),
    Row("caf\udce9, \n.jpg", 1 << 40, datetime(1969, 12, 31, tzinfo=UTC)),
    Row(r"\udce9", None, None),
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_paths_of_a_list_come_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"list{ending}"
    write_list(path, ROWS)
    with path.open("rb") as stream:
        assert list(read_table(stream, path)) == [row.path for row in ROWS]
    write_list(path, [])
    with path.open("rb") as stream:
        assert list(read_table(stream, path)) == []


def test_sizes_and_times_are_typed_in_parquet_and_iso_8601_elsewhere(tmp_path: Path) -> None:
    write_list(tmp_path / "l.parquet", ROWS)
    table = parquet.read_table(tmp_path / "l.parquet")
    assert table["size"].to_pylist() == [12, 1 << 40, None]
    assert str(table.schema.field("modified").type) == "timestamp[us, tz=UTC]"
    write_list(tmp_path / "l.csv", ROWS)
    assert (tmp_path / "l.csv").read_text().splitlines()[:2] == [
        "path,size,modified", "a.jpg,12,2026-11-28T02:04:05.678901+00:00",
    ]  # fmt: skip
    assert (tmp_path / "l.csv").read_text().endswith("\n\\u005cudce9,,\n")


def test_a_file_is_looked_up_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 1_795_831_445_678_901_999))
    path.chmod(0)
    assert row_of(Entry(str(path))) == Row(str(path), 5, TIME)
    path.unlink()
    assert row_of(Entry(str(path))) == Row(str(path), None, None)
    assert row_of(Problem("x", Reason.NOT_FOUND, "gone")) == Row("x", None, None)


def test_a_list_is_complete_or_unchanged(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield ROWS[0]
        raise ZeroDivisionError

    for ending in ENDINGS:
        path = tmp_path / f"list{ending}"
        path.write_text("before")
        with pytest.raises(ZeroDivisionError):
            write_list(path, rows())
        assert path.read_text() == "before"


def test_a_name_without_a_known_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends in none of \.parquet, \.csv, \.jsonl"):
        write_list(tmp_path / "list.txt", ROWS)
