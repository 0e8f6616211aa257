"""The frozen list of a run, in blocks."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.cluster.blocks import Blocks, write_blocks
from nsfwscan.errors import Reason
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.tables import read_table

NAMES = st.text(min_size=1) | st.just("caf\udce9.jpg")
FOUND = st.one_of(
    st.builds(Entry, NAMES, st.booleans(), st.booleans()),
    st.builds(Problem, NAMES, st.sampled_from(Reason), NAMES),
    st.builds(Skipped, NAMES, st.sampled_from(Kind)),
)


@given(st.lists(FOUND, max_size=20), st.integers(1, 7))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, found: list[Found], size: int
) -> None:
    path = tmp_path_factory.mktemp("list") / "manifest.parquet"
    skipped = Counter[Kind]()
    *_, count = [0, *write_blocks(path, found, size, skipped)]
    listed = [one for one in found if not isinstance(one, Skipped)]
    assert count == len(listed)
    assert skipped == Counter(one.kind for one in found if isinstance(one, Skipped))
    with path.open("rb") as stream:
        blocks = Blocks(stream)
        assert blocks.entries == count
        numbers = range(-(-count // size))
        assert [blocks.read(number) for number in numbers] == [
            listed[number * size : (number + 1) * size] for number in numbers
        ]


def test_a_scan_reads_the_list_too(tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    assert list(write_blocks(path, [Entry("a\udcff"), Entry("b")], 1, Counter())) == [1, 2]
    with path.open("rb") as stream:
        assert list(read_table(stream, path)) == ["a\udcff", "b"]
