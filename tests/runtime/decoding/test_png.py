import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pngs import chunk, png

from nsfwscan.decoding.png import chunks, colour_chunks, unpacked_profile

GREY = np.zeros((2, 2, 1))


def test_chunks_are_found_in_order() -> None:
    data = png(GREY, (b"gAMA", b"1234"), (b"sRGB", b""))
    names = [name for name, _, _ in chunks(data)]
    assert names == [b"IHDR", b"gAMA", b"sRGB", b"IDAT", b"IEND"]
    ends = [end for _, _, end in chunks(data)]
    assert [start for _, start, _ in chunks(data)] == [8, *ends[:-1]]
    assert ends[-1] == len(data)


def test_the_first_intact_chunk_of_the_right_length_counts() -> None:
    data = png(GREY, (b"gAMA", b"123"), (b"gAMA", b"1234"), (b"gAMA", b"5678"), (b"sRGB", b"\0"))
    late = data.replace(chunk(b"IEND", b""), chunk(b"cICP", b"abcd"))
    assert colour_chunks(late) == {b"gAMA": b"1234", b"sRGB": b"\0"}
    damaged = data.replace(chunk(b"gAMA", b"1234"), chunk(b"gAMA", b"1234", damaged=True))
    assert colour_chunks(damaged)[b"gAMA"] == b"5678"


def test_a_profile_is_unpacked() -> None:
    assert unpacked_profile(b"name\0\0" + zlib.compress(b"abc")) == b"abc"
    for body in (b"", b"name", b"name\0\1" + zlib.compress(b"abc"), b"name\0\0abc",
                 b"name\0\0" + zlib.compress(bytes(9_000_000))):  # fmt: skip
        assert unpacked_profile(body) == b""


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_to_the_end(data: bytes) -> None:
    found = list(chunks(b"\x89PNG\r\n\x1a\n" + data))
    assert all(end >= start + 12 for _, start, end in found)
    colour_chunks(data)
