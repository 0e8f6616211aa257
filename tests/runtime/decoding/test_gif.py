"""Frames that do not cover the canvas, in GIFs written byte by byte."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwscan import Preprocess, ScanOptions, decode
from nsfwscan.decoding.gif import with_disposals
from nsfwscan.decoding.inputs import decode_input

SIZE = 16
EXACT = Preprocess(size=SIZE, interpolation="box")
RED, GREEN, BLUE, WHITE = (254, 0, 0), (0, 254, 0), (0, 0, 254), (255, 255, 255)
Box = tuple[int, int, int, int]
ABSENT, UNSAID, KEEP, TO_BACKGROUND, TO_PREVIOUS = range(-1, 4)


def gif(*frames: tuple[Box, int, int]) -> bytes:
    """Write frames of one colour each: box, index into red, green, blue, black, and disposal."""
    parts = [struct.pack("<6s2H3B", b"GIF89a", SIZE, SIZE, 0x91, 3, 0), bytes(RED + GREEN + BLUE),
             bytes(3)]  # fmt: skip
    for (left, top, right, bottom), colour, disposal in frames:
        width, height = right - left, bottom - top
        # Codes of 3 bits, with a clear code before every sample: the table of codes never grows.
        codes = [code for _ in range(width * height) for code in (4, colour)] + [5]
        bits = sum(code << 3 * i for i, code in enumerate(codes))
        body = bits.to_bytes(-(-3 * len(codes) // 8), "little")
        blocks = [body[i : i + 255] for i in range(0, len(body), 255)]
        if disposal != ABSENT:
            parts.append(struct.pack("<4BH2B", 0x21, 0xF9, 4, disposal << 2, 5, 0, 0))
        parts.append(struct.pack("<B4HBB", 0x2C, left, top, width, height, 0, 2))
        parts += [bytes([len(block)]) + block for block in blocks] + [b"\0"]
    return b"".join(parts) + b";"


def canvas(*boxes: tuple[Box, tuple[int, int, int]]) -> np.ndarray:
    """Paint boxes onto white."""
    pixels = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for (left, top, right, bottom), colour in boxes:
        pixels[top:bottom, left:right] = colour
    return pixels


ALL, MIDDLE, CORNER = (0, 0, 16, 16), (4, 4, 12, 12), (0, 0, 8, 8)


@pytest.mark.parametrize("frames", [1, 8])
def test_what_the_first_frame_does_not_paint_is_transparent(frames: int) -> None:
    for data in (gif((MIDDLE, 1, KEEP)), gif((MIDDLE, 1, KEEP), (CORNER, 2, KEEP))):
        shown = decode(data, EXACT, frames=frames).pixels[0]
        assert np.array_equal(shown, canvas((MIDDLE, GREEN)))


@pytest.mark.parametrize(
    ("disposal", "before"),
    [(KEEP, [(MIDDLE, GREEN)]), (TO_BACKGROUND, []), (TO_PREVIOUS, [])],
    ids=["keep", "background", "previous"],
)
def test_a_frame_is_disposed_of_before_the_next(
    disposal: int, before: list[tuple[Box, tuple[int, int, int]]]
) -> None:
    found = decode(gif((MIDDLE, 1, disposal), (CORNER, 2, KEEP)), EXACT, frames=8).pixels
    assert np.array_equal(found[1], canvas(*before, (CORNER, BLUE)))


def test_a_frame_that_covers_the_canvas_stays_below_the_next() -> None:
    found = decode(
        gif((ALL, 0, KEEP), (CORNER, 2, TO_PREVIOUS), (MIDDLE, 1, KEEP)), EXACT, frames=8
    )
    assert np.array_equal(found.pixels[1], canvas((ALL, RED), (CORNER, BLUE)))
    assert np.array_equal(found.pixels[2], canvas((ALL, RED), (MIDDLE, GREEN)))


@pytest.mark.parametrize("earlier", [TO_BACKGROUND, TO_PREVIOUS])
@pytest.mark.parametrize("later", [ABSENT, UNSAID, KEEP])
def test_a_frame_without_a_disposal_method_is_kept(earlier: int, later: int) -> None:
    data = gif((CORNER, 0, earlier), (MIDDLE, 1, later), (CORNER, 2, KEEP))
    found = decode(data, EXACT, frames=8).pixels
    assert np.array_equal(found[1], canvas((MIDDLE, GREEN)))
    assert np.array_equal(found[2], canvas((MIDDLE, GREEN), (CORNER, BLUE)))


@pytest.mark.parametrize("loaded", [False, True])
def test_an_image_that_the_caller_has_opened_is_shown(loaded: bool) -> None:
    data = gif((ALL, 0, KEEP), (CORNER, 2, KEEP))
    with Image.open(io.BytesIO(data)) as image:
        if loaded:
            assert image.n_frames == 2  # type: ignore[attr-defined]
            image.load()
        found = decode_input(image, EXACT, ScanOptions()).pixels
    assert np.array_equal(found[1], canvas((ALL, RED), (CORNER, BLUE)))


@given(st.binary(max_size=300))
def test_methods_are_added_once_to_any_bytes(data: bytes) -> None:
    for whole in (gif((CORNER, 0, TO_BACKGROUND))[:-1] + data, b"GIF89a" + data + b"!\xf9\4\x08"):
        once = with_disposals(whole)
        assert len(once) >= len(whole)
        assert with_disposals(once) == once
