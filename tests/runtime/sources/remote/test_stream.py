from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.deadline import Deadline
from nsfwscan.sources.remote.stream import Details, ObjectStream, stamp_of_object

THEN = datetime(2020, 11, 28, tzinfo=UTC)


def details(size: int | None) -> Details:
    return Details("a", size, None, None)


@given(st.lists(st.binary(max_size=9)), st.integers(0, 20), st.integers(1, 12), st.booleans())
def test_the_pieces_are_read_in_any_steps(
    pieces: list[bytes], head: int, step: int, told: bool
) -> None:
    data = b"".join(pieces)
    with ObjectStream(
        iter(pieces), details(len(data) if told else None), Deadline(60).count
    ) as stream:
        assert stream.peek(head) == data[:head]
        assert b"".join(iter(lambda: stream.read(step), b"")) == data
        assert stream.read(step) == b""


@pytest.mark.parametrize("size", [4, 6])
def test_other_than_the_told_number_of_bytes_is_no_object(size: int) -> None:
    with ObjectStream(iter([b"hello"]), details(size), Deadline(60).count) as stream:
        assert stream.read(9) == b"hello"
        with pytest.raises(SourceError, match=f"5 of {size} bytes arrived") as caught:
            stream.read(1)
    assert caught.value.passing


def test_bytes_that_come_too_slowly_end_it() -> None:
    with ObjectStream(iter([b"a"]), details(1), Deadline(0).count) as stream:
        with pytest.raises(SourceError) as caught:
            stream.read(1)
        assert (caught.value.reason, caught.value.passing) == (Reason.TIMEOUT, False)


def test_a_stream_that_is_not_read_to_its_end_is_closed() -> None:
    closed = []

    def pieces() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    with ObjectStream(pieces(), details(2), Deadline(60).count) as stream:
        assert stream.read(1) == b"a"
    assert closed == [True]


def test_a_stamp_changes_with_the_tag_the_size_and_the_time() -> None:
    stamps = [
        stamp_of_object('"a"', 1),
        stamp_of_object('"b"', 1),
        stamp_of_object('"a"', 2),
        stamp_of_object('"a"', 1, THEN),
    ]
    assert None not in stamps
    assert len(set(stamps)) == 4
    assert stamp_of_object("a", 1) == stamps[0]  # Azure lists tags without quotes
    assert stamps[0] is not None
    assert stamps[0][-2:] == (0, 0)


@pytest.mark.parametrize(("tag", "size"), [(None, 1), ("", 1), ('W/"a"', 1), ('"a"', None)])
def test_a_weak_or_missing_tag_gives_no_stamp(tag: str | None, size: int | None) -> None:
    assert stamp_of_object(tag, size, THEN) is None
