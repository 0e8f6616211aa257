from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from runtime.reports.test_parquet import write
from runtime.test_record import make_record

from nsfwscan.errors import InputError
from nsfwscan.record import SCHEMA, Record
from nsfwscan.reports.footer import Origin, footer_of
from nsfwscan.reports.merge import copy_records, read_parts
from nsfwscan.reports.output import open_output
from nsfwscan.reports.parquet import ParquetReport, ParquetTable
from nsfwscan.reports.results import read_results
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.shard import Shard

RECORDS = [make_record(path=f"{number}.jpg") for number in range(20)]


def part(folder: Path, index: int, count: int = 3, **changes: Any) -> Path:
    """Write the report of a shard of `RECORDS`."""
    shard = Shard(index, count)
    records = [record for record in RECORDS if shard.holds(record.path)]
    return write(folder / f"{index}-{count}", records, shard, **changes)


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    return [part(tmp_path, index) for index in (2, 0, 1)]


def merge(paths: list[Path]) -> tuple[list[Record], Summary]:
    """Merge parts, and read the result."""
    summary, target = Summary(), paths[0].with_name("merged")
    found = read_parts(paths)
    with open_output(target, "parquet", raw=False) as out:
        table = ParquetTable(out)
        copy_records(found, table, summary)
        table.close(footer_of(found[0][1].origin, None, summary))
    return list(read_results(target, pytest.fail)), summary


def refused(paths: list[Path]) -> str:
    with pytest.raises(InputError) as error:
        merge(paths)
    assert not paths[0].with_name("merged").exists()
    return str(error.value)


def test_all_shards_in_any_order_make_up_the_scan(parts: list[Path]) -> None:
    records, summary = merge(parts)
    assert sorted(records, key=str) == sorted(RECORDS, key=str)
    assert records == [one for i in range(3) for one in RECORDS if Shard(i, 3).holds(one.path)]
    assert (summary.found, summary.safe) == (20, 20)


def test_the_counts_add_up(tmp_path: Path) -> None:
    paths = [
        part(tmp_path, index, known=index, skipped=Counter({Kind.VIDEO: 2, Kind.LINK: index}))
        for index in range(3)
    ]
    _, summary = merge(paths)
    assert (summary.known, summary.skipped) == (3, Counter({Kind.VIDEO: 6, Kind.LINK: 3}))
    assert summary.found == 32


def test_a_missing_shard_is_named(parts: list[Path], tmp_path: Path) -> None:
    assert refused(parts[:2]) == "shards without a report: 1/3"
    assert refused(parts[:1]) == "shards without a report: 0/3, 1/3"
    few = [part(tmp_path, index, 100) for index in (0, 2)]
    named = ", ".join(f"{index}/100" for index in (1, *range(3, 12)))
    assert refused(few) == f"shards without a report: {named} and 88 more"


def test_a_doubled_shard_is_named(parts: list[Path], tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.write_bytes(parts[0].read_bytes())
    assert refused([*parts, again]) == f"{parts[0]} and {again} are both of shard 2/3"


def test_a_shard_of_another_number_is_named(parts: list[Path], tmp_path: Path) -> None:
    other = part(tmp_path, 1, 4)
    assert refused([*parts[:2], other]) == f"{other} is one of 4 shards, and {parts[0]} one of 3"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "99" * 32}, f"another model than FIRST: {'99' * 32}, not {'86' * 32}"),
        ({"threshold": 0.7}, "another threshold than FIRST: 0.7, not 0.5"),
        ({"settings": {"frames": "8"}}, "another --frames than FIRST: 8, not 32"),
        (
            {"settings": {"frames": "32", "glob": "*.jpg"}},
            "another --glob than FIRST: *.jpg, not none",
        ),
        (
            {"sources": ("s3://b", "c")},
            "another choice of files and folders than FIRST: s3://b, c, not photos",
        ),
        ({"settings": {}}, "another --frames than FIRST: none, not 32"),
        (
            {"settings": {"frames": "32", "fast": "small 12"}},
            "another --fast than FIRST: small 12, not none",
        ),
        ({"version": "1.3"}, "another version of nsfwscan than FIRST: 1.3, not 1.2.3"),
    ],
)
def test_a_shard_of_another_scan_is_named(
    parts: list[Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    other = part(tmp_path, 0, about=changes)
    assert refused(parts) == f"{other} has {said.replace('FIRST', str(parts[0]))}"


def test_another_schema_is_named(parts: list[Path], tmp_path: Path) -> None:
    origin = Origin(version="1.2.3", model="86" * 32, threshold=0.5, schema=SCHEMA + 1)
    with open_output(tmp_path / "0-3", "parquet", raw=False) as out:
        ParquetReport(out, origin, Shard(0, 3)).close(Summary())
    assert "another schema of the records than" in refused(parts)


def test_an_interrupted_part_is_named(parts: list[Path], tmp_path: Path) -> None:
    path = part(tmp_path, 1, interrupted=True)
    assert refused(parts) == f"{path}: its scan did not come to its end; scan shard 1/3 again"


def test_the_report_of_a_whole_scan_is_refused(parts: list[Path], tmp_path: Path) -> None:
    for paths in ([write(tmp_path / "all", RECORDS)], [*parts[:2], write(tmp_path / "all", [])]):
        assert refused(paths).endswith("/all: this is the report of a whole scan, not of a shard")


def test_a_file_that_is_no_report_is_named(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"path": "a"}')
    assert refused([*parts, tmp_path / "x"]).startswith(f"{tmp_path / 'x'}: this is no Parquet")


def test_a_record_of_another_shard_is_named(parts: list[Path], tmp_path: Path) -> None:
    strange = next(one for one in RECORDS if not Shard(1, 3).holds(one.path))
    path = write(tmp_path / "1-3", [strange], Shard(1, 3))
    assert refused(parts) == f"{path}: the record of {strange.path} is not of shard 1/3"


def test_records_that_are_not_those_of_the_footer_are_refused(
    parts: list[Path], tmp_path: Path
) -> None:
    path = part(tmp_path, 1, safe=1)
    assert refused(parts) == f"{path}: its records are not those that its footer counts"


def test_a_part_with_other_columns_is_named(parts: list[Path]) -> None:
    table = parquet.read_table(parts[0])
    parquet.write_table(table.drop_columns("sha1"), parts[0])
    assert refused(parts).startswith(f"{parts[0]}: this is no report of a scan; pass what")


def test_uncertain_and_allowed_images_are_counted(tmp_path: Path) -> None:
    records = [
        make_record(path="a", status="flagged", score=0.9, uncertain=True),
        make_record(path="b", status="flagged", score=0.9),
        make_record(path="c", score=0.9, allowed="a statue"),
    ]
    _, summary = merge([write(tmp_path / "all", records, Shard(0, 1))])
    assert summary.counts() == ("3 found: 1 safe (1 allowed), 2 flagged (1 uncertain), 0 errors")
