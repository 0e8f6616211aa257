import io
import struct
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from colours import PHOTO, SMALL, difference, gamma, pixels
from helpers import encoded
from PIL import Image
from pngs import body, chunk, header, png
from profiles import STEEP, grey_profile, to_linear

from nsfwscan import decode


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_transparent_colour_of_few_greys_is_applied(bits: int) -> None:
    top, key = 2**bits - 1, 0 if bits == 1 else 1
    greys = np.repeat(np.arange(top + 1), 40)[:, np.newaxis].repeat(40, axis=1)
    packed = np.unpackbits(greys.astype(np.uint8)[..., np.newaxis], axis=-1)[..., -bits:]
    rows = b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in packed)

    data = header(40, len(greys), bits, 0) + chunk(b"tRNS", struct.pack(">H", key)) + body(rows)
    shown = np.where(greys == key, 255, greys * (255 // top)).astype(np.uint8)
    assert difference(data, Image.fromarray(shown)) < 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("exponent", [None, 44.0])
def test_the_transparent_colour_of_a_png_is_compared_in_all_bits(
    channels: int, bits: int, exponent: float | None
) -> None:
    top = 2**bits - 1
    key = [round(top * part) for part in (0.3, 0.6, 0.9)][:channels]
    samples = np.asarray(PHOTO)[..., :channels] / 255
    samples[:150] = np.array(key) / top
    chunks = [(b"tRNS", struct.pack(f">{channels}H", *key))]
    chunks += [gamma(exponent)] if exponent else []
    found = pixels(png(samples, *chunks, bits=bits))
    assert (found[:30] == 255).all()
    assert (found[34:] < 255).any()
    other = [(b"tRNS", struct.pack(f">{channels}H", *[part ^ 1 for part in key])), *chunks[1:]]
    assert (pixels(png(samples, *other, bits=bits))[:30] < 255).any()


@pytest.mark.parametrize("kind", ["grey", "RGB", "RGBA", "white is zero"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.slow
def test_all_bits_of_each_page_of_a_tiff_are_used(
    kind: str, planes: Literal["contig", "separate"], orientation: int
) -> None:
    photo = PHOTO if "RGB" in kind else PHOTO.convert("L")
    shown = [photo, photo.rotate(90)]
    tag = (274, "H", 1, orientation, True)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in shown:
            samples = to_linear(page) ** (1 / STEEP.exponent)
            options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planes}
            if kind == "RGBA":
                samples = np.concatenate([samples, np.ones((*samples.shape[:2], 1))], axis=-1)
                options["extrasamples"] = ["unassalpha"]
            if "RGB" not in kind:
                inverted = kind == "white is zero"
                samples = 1 - samples[..., 0] if inverted else samples[..., 0]
                options = {"photometric": "miniswhite" if inverted else "minisblack"}
            elif planes == "separate":
                samples = np.moveaxis(samples, 2, 0)
            profile = STEEP.profile if "RGB" in kind else grey_profile(STEEP.exponent)
            values = np.ascontiguousarray(np.rint(65535 * samples)).astype("u2")
            writer.write(values, iccprofile=profile, metadata=None, extratags=[tag], **options)
    found = decode(buffer.getvalue(), SMALL, frames=4).pixels
    assert len(found) == 2
    for seen, page in zip(found, shown, strict=True):
        upright = page if orientation == 1 else page.transpose(Image.Transpose.ROTATE_270)
        assert np.abs(seen - pixels(encoded(upright, "PNG"))).mean() < 2
