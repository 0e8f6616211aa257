"""Random images in random layouts, by writers other than Pillow, against the plain PNG."""

import io
import struct
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import tifffile
from helpers import encoded
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from pngs import body, header

from nsfwscan import Preprocess, decode

EXACT = Preprocess(size=16)
Samples = NDArray[np.uint8]


def png(samples: Samples, bits: int, filter_: int, idat: int) -> bytes:
    """Write grey or RGB samples, in several data chunks, all rows with one filter."""

    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else 3
    values = (samples.astype(">u2") * 257) if bits == 16 else samples
    rows = [row.tobytes() for row in values.reshape(height, -1)]
    step = channels * bits // 8
    if filter_ == 1:  # each byte less the one of the pixel before
        rows = [
            bytes((byte - (row[i - step] if i >= step else 0)) % 256 for i, byte in enumerate(row))
            for row in rows
        ]
    filtered = b"".join(bytes([filter_]) + row for row in rows)
    return header(width, height, bits, 0 if channels == 1 else 2) + body(filtered, idat)


def bmp(samples: Samples, bits: int, *, top_down: bool) -> bytes:
    """Write RGB samples with 24 or 32 bits; the fourth byte is zero."""
    height, width = samples.shape[:2]
    rows = samples[:, :, ::-1] if top_down else samples[::-1, :, ::-1]
    if bits == 32:
        rows = np.concatenate([rows, np.zeros((height, width, 1), np.uint8)], axis=-1)
    padding = bytes(-width * bits // 8 % 4)
    data = b"".join(row.tobytes() + padding for row in rows)
    side = -height if top_down else height
    info = struct.pack("<IiiHHIIiiII", 40, width, side, 1, bits, 0, len(data), 0, 0, 0, 0)
    return struct.pack("<2sIII", b"BM", 54 + len(data), 0, 54) + info + data


def pnm(samples: Samples, *, as_text: bool, deep: bool) -> bytes:
    """Write grey or RGB samples, as text or bytes, with 8 or 16 bits."""
    height, width = samples.shape[:2]
    digit = (2 if as_text else 5) + (samples.ndim == 3)
    values = samples.astype(">u2") * 257 if deep else samples
    head = b"P%d\n# text\n%d %d\n%d\n" % (digit, width, height, 65535 if deep else 255)
    if as_text:
        return head + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in values)
    return head + values.tobytes()


def tiff(
    samples: Samples,
    dtype: str,
    order: Literal["<", ">"],
    rows: int,
    *,
    tiled: bool,
    deflated: bool,
) -> bytes:
    """Write grey or RGB samples in strips or tiles."""
    buffer = io.BytesIO()
    values = samples.astype("u2") * 257 if dtype == "u2" else samples
    tifffile.imwrite(
        buffer, values, photometric="rgb" if samples.ndim == 3 else "minisblack",
        byteorder=order, rowsperstrip=None if tiled else rows, tile=(16, 16) if tiled else None,
        compression="zlib" if deflated else None, predictor=deflated, metadata=None,
    )  # fmt: skip
    return buffer.getvalue()


grey = hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)))
rgb = hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))
flag = st.booleans()


def files(
    write: Callable[..., bytes],
    samples: st.SearchStrategy[Samples],
    **options: st.SearchStrategy[Any],
) -> st.SearchStrategy[tuple[Samples, bytes]]:
    """Give an image and its file."""
    return samples.flatmap(
        lambda one: st.tuples(st.just(one), st.builds(write, st.just(one), **options))
    )


LAYOUTS = st.one_of(
    files(png, grey | rgb, bits=st.sampled_from([8, 16]), filter_=st.integers(0, 1),
          idat=st.integers(1, 999)),
    files(bmp, rgb, bits=st.sampled_from([24, 32]), top_down=flag),
    files(pnm, grey | rgb, as_text=flag, deep=flag),
    files(tiff, grey | rgb, dtype=st.sampled_from(["u1", "u2"]), order=st.sampled_from("<>"),
          rows=st.integers(1, 20), tiled=flag, deflated=flag),
)  # fmt: skip


@given(LAYOUTS)
def test_every_layout_of_an_image_gives_the_pixels_of_its_plain_png(
    made: tuple[Samples, bytes],
) -> None:
    samples, data = made
    plain = encoded(Image.fromarray(samples), "PNG")
    found, wanted = (decode(one, EXACT).pixels.astype(int) for one in (data, plain))
    assert np.abs(found - wanted).max() <= 1
