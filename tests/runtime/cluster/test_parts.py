"""The parts of a result: pieces put together, footers, and what is refused."""

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from runtime.test_record import make_record

from nsfwscan.cluster.folder import LocalFolder
from nsfwscan.cluster.parts import (
    Collector,
    Piece,
    blocks_in,
    check_complete,
    name_of,
    read_parts,
    write_part,
)
from nsfwscan.errors import InputError, OutputError, Reason
from nsfwscan.reports.footer import Origin
from nsfwscan.reports.parquet import read_footer, to_batch
from nsfwscan.sources.filetype import Kind

ORIGIN = Origin(version="1", model="ab" * 32, threshold=0.5)
RECORDS = [
    make_record(path="a"),
    make_record(path="b", status="flagged"),
    make_record(path="c", status="error", score=None, reason=Reason.CORRUPT, detail="it is"),
]


def piece(block: int, first: int, count: int, *, skipped: int = 0) -> Piece:
    records = to_batch([make_record(path=str(first + i)) for i in range(count - skipped)])
    return Piece(
        block, first, count, records, Counter({Kind.TEXT: skipped}) if skipped else Counter()
    )


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_block_is_complete_once_whatever_the_order(
    lengths: list[list[int]], order: random.Random
) -> None:
    """Each piece comes twice, as after the loss of a process."""
    pieces = [
        piece(block, sum(counts[:i]), count)
        for block, counts in enumerate(lengths)
        for i, count in enumerate(counts)
    ] * 2
    order.shuffle(pieces)
    collector = Collector({block: sum(counts) for block, counts in enumerate(lengths)})
    whole = [found for one in pieces if (found := collector.add(one)) is not None]
    assert sorted(found[0].block for found in whole) == list(range(len(lengths)))
    for found in whole:
        assert [one.count for one in found] == lengths[found[0].block]
    assert collector.missing == []


def test_other_boundaries_leave_the_block_to_another_pass() -> None:
    collector = Collector({0: 6})
    assert collector.add(piece(0, 0, 3)) is None
    assert collector.add(piece(0, 2, 4)) is None
    assert collector.missing == [0]
    assert collector.add(piece(0, 0, 2)) is not None


def write(folder: LocalFolder, block: int = 0, run: str = "r") -> None:
    pieces = [
        Piece(block, 0, 3, to_batch(RECORDS), Counter()),
        Piece(block, 3, 2, to_batch([]), Counter({Kind.TEXT: 2})),
    ]
    write_part(folder, run, ORIGIN, block, pieces)


def test_a_part_is_a_report_that_adds_up(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    write(folder, 7)
    path = tmp_path / "records" / "00000007.parquet"
    (tmp_path / "records" / "000000007.parquet").touch()  # another name for it is not its part
    assert list(blocks_in(folder.names())) == [7]
    assert parquet.read_table(path) == pa.Table.from_batches([to_batch(RECORDS)])
    with path.open("rb") as stream:
        footer = read_footer(stream, path)
    assert (footer.safe, footer.flagged, footer.errors, footer.found) == (1, 1, 1, 5)
    assert footer.skipped == {Kind.TEXT: 2}
    assert list(read_parts(folder, "r", {7: 5}, [7])) == [(7, footer)]


def test_a_part_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    write(folder)
    for run, sizes in (("other", {0: 5}), ("r", {0: 6}), ("r", {1: 5})):
        with pytest.raises(
            InputError, match=r"records/00000000\.parquet is not a part of this run"
        ):
            list(read_parts(folder, run, sizes, [0]))


@pytest.mark.parametrize("damage", ["cut", "text", "report"])
def test_a_damaged_part_is_refused(tmp_path: Path, damage: str) -> None:
    folder = LocalFolder(tmp_path)
    write(folder)
    path = tmp_path / name_of(0)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "text":
        path.write_text("text")
    else:
        parquet.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match=r"records/00000000\.parquet is no complete part"):
        list(read_parts(folder, "r", {0: 5}, [0]))


def test_each_block_has_its_part(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    write(folder, 0)
    write(folder, 2)
    with pytest.raises(OutputError, match=r"00000001\.parquet has vanished"):
        check_complete(folder, 3)
    write(folder, 1)
    check_complete(folder, 3)
    with pytest.raises(OutputError, match=r"00000002\.parquet is not a part"):
        check_complete(folder, 2)
