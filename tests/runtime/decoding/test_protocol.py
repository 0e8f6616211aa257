import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import Preprocess
from nsfwscan.decoding.protocol import (
    Decode,
    Digests,
    Failure,
    ImageHeader,
    ProtocolError,
    ReadBytes,
    ReadFile,
    parse_decode_answer,
    parse_read_answer,
    parse_request,
    to_line,
)
from nsfwscan.errors import Reason
from nsfwscan.sources.filetype import Kind

SHA256, SHA1 = "a0" * 32, "1f" * 20
FAILURE = Failure(Reason.TOO_LARGE, "no\nmemory \udcff", out_of_memory=True)
HEADER = ImageHeader(3, 2, 5, 640, 480, "JPEG 2000", (0, 7, 9, 0, 9), 10)


@pytest.mark.parametrize(
    "request_",
    [
        ReadFile(
            "/new\nline \udcff.jpg",
            explicit=True,
            follow=False,
            max_filesize=9,
            max_memory=float("inf"),
        ),
        ReadBytes(0, 1 << 30),
        Decode(Preprocess(size=8, resize=9, jpeg_draft_margin=None), 4, 2, 10**6),
        Decode(Preprocess(size=8), 1, 0, 10**6, 143),
    ],
)
def test_requests_round_trip(request_: ReadFile | ReadBytes | Decode) -> None:
    line = to_line(request_)
    assert line.index(b"\n") == len(line) - 1
    assert parse_request(line) == request_


def test_answers_round_trip() -> None:
    stamp = (1, 2, 3, -4, 5)
    for answer in (Digests(SHA256, SHA1, stamp), Digests(SHA256, SHA1, None), Kind.VIDEO, FAILURE):
        assert parse_read_answer(to_line(answer)) == answer
    assert parse_decode_answer(to_line(HEADER), 3, 2) == HEADER
    assert parse_decode_answer(to_line(FAILURE), 3, 2) == FAILURE


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, "ready", ["Ready"], ["Digests"], ["ImageHeader", 1, 0, 1, 1, "PNG"],
        ["Digests", SHA256, SHA1], ["Digests", SHA256.upper(), SHA1, None],
        ["Digests", SHA256, SHA1[1:], None], ["Digests", SHA1, SHA256, None],
        ["Digests", SHA256, SHA1 + "\n", None], ["Digests", 1, SHA1, None],
        ["Digests", SHA256, SHA1, []], ["Digests", SHA256, SHA1, [1, 2, 3, 4]],
        ["Digests", SHA256, SHA1, [1, 2, 3, 4, 5.0]], ["Digests", SHA256, SHA1, "12345"],
        ["Digests", SHA256, SHA1, [1, 2, 3, 4, True]],
        ["Kind", "no such kind"], ["Kind", None], ["Kind", ["video"]], ["Kind", "video", 1],
        ["Failure", "corrupt", "x"], ["Failure", "no such reason", "x", False],
        ["Failure", "corrupt", None, False], ["Failure", "corrupt", "x", 0],
    ],
)  # fmt: skip
def test_an_invalid_read_answer_is_refused(answer: object) -> None:
    with pytest.raises(ProtocolError):
        parse_read_answer(json.dumps(answer).encode())


NUMBERS = [0, 7, 9, 0, 9]
FIELDS = [3, 2, 5, 640, 480, "PNG", NUMBERS, 10]
"""Frames, views, left out, width, height, format, number of the frame of each, frames in all."""


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 0), (0, 4), (0, True), (0, 1.0), (0, "1"), (1, -1), (1, 3), (1, None), (2, -1),
        (2, 1 << 31), (3, 0), (3, -1), (4, 0), (4, 1 << 31), (5, "no such format"), (5, None),
        (5, ["PNG"]), (6, None), (6, 5), (6, []), (6, NUMBERS[1:]), (6, [*NUMBERS, 1]),
        (6, [0, 7, 10, 0, 9]), (6, [0, -1, 9, 0, 9]), (6, [0, 7.0, 9, 0, 9]),
        (6, [0, True, 9, 0, 9]), (7, 9), (7, 0), (7, None), (7, True), (7, 10.0), (7, 1 << 31),
    ],
)  # fmt: skip
def test_an_invalid_image_header_is_refused(place: int, value: object) -> None:
    def line(fields: list[object]) -> bytes:
        return json.dumps(["ImageHeader", *fields]).encode()

    wanted = ImageHeader(3, 2, 5, 640, 480, "PNG", tuple(NUMBERS), 10)
    assert parse_decode_answer(line([*FIELDS]), 3, 2) == wanted
    invalid = [*FIELDS[:place], value, *FIELDS[place + 1 :]]
    for fields in (invalid, FIELDS[:place], [*FIELDS, 1]):
        with pytest.raises(ProtocolError):
            parse_decode_answer(line(fields), 3, 2)


@given(st.binary(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=6), max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_bytes_are_an_answer_or_a_protocol_error(line: bytes) -> None:
    for parse in (parse_read_answer, lambda line: parse_decode_answer(line, 3, 2)):
        try:
            answer = parse(line)
        except ProtocolError:
            continue
        assert isinstance(answer, (Digests, Kind, Failure, ImageHeader))
