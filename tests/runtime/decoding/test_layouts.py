import itertools
from typing import Literal

import numpy as np
from helpers import encoded
from hypothesis import given
from layouts import LAYOUTS, Made, Samples, bmp, gif, png, pnm, tiff
from PIL import Image

from nsfwscan import Preprocess, decode

EXACT = Preprocess(size=16)


def apart(made: Made) -> int:
    """Return by how much the pixels of a file differ from those of the plain PNG."""
    shown, data = made
    plain = encoded(Image.fromarray(shown), "PNG")
    found, wanted = (decode(one, EXACT).pixels.astype(int) for one in (data, plain))
    return int(np.abs(found - wanted).max())


def noise(channels: int) -> Samples:
    return np.random.default_rng(channels).integers(0, 256, (19, 23, channels)).astype(np.uint8)


@given(LAYOUTS)
def test_every_layout_of_an_image_gives_the_pixels_of_its_plain_png(made: Made) -> None:
    assert apart(made) <= 1


def test_every_layout_of_png_is_right() -> None:
    for channels, bits, kind, interlaced in itertools.product(
        range(1, 5), (1, 2, 4, 8, 16), range(5), (False, True)
    ):
        if bits < 8 and channels > 1:
            continue
        for indexed in (False, True) if channels == 1 and bits < 16 else (False,):
            made = png(noise(channels), bits, kind, 99, interlaced=interlaced, indexed=indexed)
            assert apart(made) <= 1, (channels, bits, kind, interlaced, indexed)


DTYPES: tuple[Literal["u1", "u2", "f4"], ...] = ("u1", "u2", "f4")
ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")


def test_every_layout_of_tiff_is_right() -> None:
    for channels, dtype, order in itertools.product(range(1, 5), DTYPES, ORDERS):
        for tiled, deflated, planes, big in itertools.product((False, True), repeat=4):
            made = tiff(
                noise(channels), dtype, order, 7, tiled=tiled, deflated=deflated, planes=planes,
                big=big,
            )  # fmt: skip
            assert apart(made) <= 1, (channels, dtype, order, tiled, deflated, planes, big)


def test_every_layout_of_the_other_formats_is_right() -> None:
    for one, other in itertools.product((False, True), repeat=2):
        assert apart(gif(noise(1), interlaced=one, transparent=other)) <= 1
        for channels in (1, 3):
            assert apart(pnm(noise(channels), as_text=one, deep=other)) <= 1
        assert apart(bmp(noise(3), 32 if one else 24, top_down=other)) <= 1
    assert apart(bmp(noise(3), 8, top_down=False)) <= 1


def test_a_bmp_of_16_bits_has_nearly_its_colours() -> None:
    assert apart(bmp(noise(3), 16, top_down=False)) <= 8
