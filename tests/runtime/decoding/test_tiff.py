import io
import itertools
import struct
from collections.abc import Sized
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from helpers import encoded, load_photo
from numpy.typing import NDArray
from PIL import Image

from nsfwscan import Preprocess, decode

SMALL = Preprocess(size=32)
PHOTO = load_photo("coffee.png").resize((96, 64))
TOPS = {"u1": 255, "u2": 65535, "i2": 32767, "u4": 2**32 - 1, "f2": 1, "f4": 1, "f8": 1}
KINDS = ["grey", "white is zero", "grey and alpha", "RGB", "RGBA", "RGBa", "RGBX"]
EXTRA = {"grey and alpha": "unassalpha", "RGBA": "unassalpha", "RGBa": "assocalpha",
         "RGBX": "unspecified"}  # fmt: skip


def samples_of(kind: str, dtype: str) -> NDArray[Any]:
    """Return (H, W) or (H, W, channels): the photo, opaque or with a channel without meaning."""
    grey = "RGB" not in kind
    light = np.asarray(PHOTO.convert("L") if grey else PHOTO) / 255
    if kind == "white is zero":
        light = 1 - light
    if kind in EXTRA:
        fourth = np.full((*light.shape[:2], 1), 0.5 if kind == "RGBX" else 1.0)
        light = np.concatenate([light.reshape(*light.shape[:2], -1), fourth], axis=-1)
    values = light * TOPS[dtype]
    return (values if dtype[0] == "f" else np.rint(values)).astype(dtype)


@pytest.mark.parametrize("dtype", TOPS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_every_layout_shows_the_photo(kind: str, dtype: str) -> None:
    """Another program writes the files: planes, byte orders, compressions, predictors."""
    shown = PHOTO if "RGB" in kind else PHOTO.convert("L")
    wanted = decode(encoded(shown, "PNG"), SMALL).pixels.astype(int)
    compressions = ((None, False), ("zlib", False), ("zlib", True))
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for planes, order, (compression, predictor), tile in itertools.product(
        ("contig", "separate"), orders, compressions, (None, (16, 16))
    ):
        values = samples_of(kind, dtype)
        if (predictor and dtype[0] == "f") or (planes == "separate" and values.ndim == 2):
            continue
        options: dict[str, Any] = {"photometric": "rgb" if "RGB" in kind else "minisblack"}
        if kind == "white is zero":
            options["photometric"] = "miniswhite"
        if kind in EXTRA:
            options["extrasamples"] = [EXTRA[kind]]
        if values.ndim == 3:
            options["planarconfig"] = planes
            values = np.moveaxis(values, 2, 0) if planes == "separate" else values
        buffer = io.BytesIO()
        tifffile.imwrite(
            buffer, np.ascontiguousarray(values), byteorder=order, compression=compression,
            predictor=predictor, tile=tile, metadata=None, **options,
        )  # fmt: skip
        layout = (planes, order, compression, predictor, tile)
        found = decode(buffer.getvalue(), SMALL)
        assert found.format == "TIFF"
        assert np.abs(found.pixels - wanted).mean() < 2, layout


@pytest.mark.parametrize("orientation", [1, 6])
def test_pages_that_pillow_misreads_keep_orientation_and_order(orientation: int) -> None:
    buffer = io.BytesIO()
    planes = np.ascontiguousarray(np.moveaxis(samples_of("RGB", "u2"), 2, 0))
    tag = (274, "H", 1, orientation, True)
    with tifffile.TiffWriter(buffer) as writer:
        for page in (planes, planes[::-1]):
            writer.write(
                page, photometric="rgb", planarconfig="separate", metadata=None, extratags=[tag]
            )
    found = decode(buffer.getvalue(), SMALL, frames=4)
    assert (found.width, found.height) == ((96, 64) if orientation == 1 else (64, 96))
    assert found.frames == 2
    upright = PHOTO if orientation == 1 else PHOTO.transpose(Image.Transpose.ROTATE_270)
    wanted = decode(encoded(upright, "PNG"), SMALL).pixels[0].astype(int)
    assert np.abs(found.pixels[0] - wanted).max() <= 1
    assert np.abs(found.pixels[1] - wanted[..., ::-1]).max() <= 1


def directory(bits: int, channels: int, data: bytes) -> bytes:
    """Write a TIFF of one strip of packed samples, which tifffile does not write."""
    width, height = PHOTO.size
    sizes = struct.pack(f"<{channels}H", *[bits] * channels)
    rows = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8),
            (259, 3, 1, 1), (262, 3, 1, 2 if channels == 3 else 1), (273, 4, 1, 8 + len(sizes)),
            (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(data))]  # fmt: skip
    if channels == 1:
        rows[2] = (258, 3, 1, bits)
    table = b"".join(struct.pack("<2H2I", *row) for row in rows)
    place = 8 + len(sizes) + len(data)
    start = struct.pack("<2sHI", b"II", 42, place) + sizes + data
    return start + struct.pack("<H", len(rows)) + table + bytes(4)


def test_samples_of_12_bits_are_scaled() -> None:
    grey = np.asarray(PHOTO.convert("L")).astype(int) * 4095 // 255
    first, second = grey[:, 0::2], grey[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
    found = decode(directory(12, 1, packed.astype(np.uint8).tobytes()), SMALL).pixels.astype(int)
    wanted = decode(encoded(PHOTO.convert("L"), "PNG"), SMALL).pixels
    assert np.abs(found - wanted).max() <= 1


def test_colours_of_one_bit_are_read() -> None:
    bits = (np.asarray(PHOTO) > 127).astype(np.uint8)
    packed = np.packbits(bits.reshape(len(bits), -1), axis=1)
    found = decode(directory(1, 3, packed.tobytes()), SMALL).pixels.astype(int)
    wanted = decode(encoded(Image.fromarray(255 * bits), "PNG"), SMALL).pixels
    assert np.abs(found - wanted).max() <= 1


def test_floats_beyond_white_are_clipped() -> None:
    samples = np.asarray(PHOTO).astype(np.float32) / 255
    samples[0, 0], samples[0, 1] = 3.5, -0.5
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", metadata=None)
    found = decode(buffer.getvalue(), SMALL).pixels.astype(int)
    assert np.abs(found - decode(encoded(PHOTO, "PNG"), SMALL).pixels).mean() < 1


@pytest.mark.parametrize(("kind", "value"), [("B", b"\x01"), ("s", "text"), ("H", (1, 2))])
def test_a_tag_of_another_type_is_ignored(kind: str, value: Sized) -> None:
    """Found by fuzzing."""
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, samples_of("RGB", "i2"), photometric="rgb", metadata=None,
        extratags=[(274, kind, len(value), value, True)],
    )  # fmt: skip
    assert decode(buffer.getvalue(), SMALL).format == "TIFF"
