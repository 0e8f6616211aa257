"""Random images in random layouts, by writers other than Pillow, and what each shows.

Each writer takes samples, uint8 (H, W, channels), of which the last may be transparency, and
returns the colours that a viewer shows on white, uint8 (H, W, 3), and the file.
"""

import io
import struct
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import tifffile
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pngs import body, chunk, header

Samples = NDArray[np.uint8]
Made = tuple[Samples, bytes]

PALETTE = np.array([(i, 255 - i, 7 * i % 256) for i in range(256)], np.uint8)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
"""Interlaced PNG: first column and row, and their steps (PNG 3, 8.2)."""


def on_white(samples: NDArray[Any]) -> Samples:
    """Flatten samples of 0 to 255; transparency that is zero everywhere has no meaning."""
    channels = samples.shape[-1]
    values = samples.astype(float)
    colours = values[..., : channels - 1] if channels in {2, 4} else values
    if channels in {2, 4} and samples[..., -1].any():
        alpha = values[..., -1:] / 255
        colours = alpha * colours + 255 * (1 - alpha)
    shown: Samples = np.rint(colours).astype(np.uint8)
    return shown if shown.shape[-1] == 3 else shown.repeat(3, axis=-1)


def filtered(rows: NDArray[np.uint8], kind: int, step: int) -> bytes:
    """Filter rows of bytes (PNG 3, 9.2)."""
    whole = rows.astype(int)
    left = np.pad(whole, ((0, 0), (step, 0)))[:, : whole.shape[1]]
    up = np.pad(whole, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(left, ((1, 0), (0, 0)))[:-1]
    distances = np.abs(np.stack([up - corner, left - corner, left + up - 2 * corner]))
    paeth = np.choose(distances.argmin(axis=0), [left, up, corner])
    guess = [0, left, up, (left + up) // 2, paeth][kind]
    return b"".join(bytes([kind]) + row.tobytes() for row in (whole - guess).astype(np.uint8))


def png(
    samples: Samples, bits: int, kind: int, idat: int, *, interlaced: bool, indexed: bool
) -> Made:
    """Write any colour type of PNG; fewer than 8 bits and indices need one channel."""
    height, width, channels = samples.shape
    top = 2**bits - 1
    levels = np.rint(samples / 255 * top).astype(np.uint32)
    shown = PALETTE[levels[..., 0]] if indexed else on_white(levels * (255 / top))
    colour_type = 3 if indexed else {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    data = b""
    for left, first, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        part = levels[first::down, left::across]
        if part.size == 0:
            continue
        if bits == 16:
            rows = part.astype(">u2").reshape(len(part), -1).view(np.uint8)
        else:
            planes = part[..., np.newaxis] >> np.arange(bits)[::-1] & 1
            rows = np.packbits(planes.reshape(len(part), -1).astype(np.uint8), axis=1)
        data += filtered(rows, kind, max(1, channels * bits // 8))
    start = bytearray(header(width, height, bits, colour_type)[:-4])
    start[28] = interlaced
    head = bytes(start[:8]) + chunk(b"IHDR", bytes(start[16:29]))
    palette = chunk(b"PLTE", PALETTE[: top + 1].tobytes()) if indexed else b""
    return shown, head + palette + body(data, idat)


def bmp(samples: Samples, bits: Literal[8, 16, 24, 32], *, top_down: bool) -> Made:
    """Write RGB samples with 5, 6 and 5 bits, or 24, or 32 of which the last 8 are zero.

    With 8 bits, the first channel is an index, and runs are compressed.
    """
    height, width = samples.shape[:2]
    top_down &= bits != 8
    rows = samples if top_down else samples[::-1]
    shown, palette, compression = samples, b"", 0
    if bits == 8:
        shown, compression = PALETTE[samples[..., 0]], 1
        palette = b"".join(bytes([*entry[::-1], 0]) for entry in PALETTE)
        lines = [b"".join(bytes([1, v]) for v in row[:, 0]) + b"\0\0" for row in rows]
        data = b"".join(lines) + b"\0\1"
    else:
        if bits == 16:
            red, green, blue = (rows[..., i].astype(int) for i in range(3))
            packed = (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype("<u2")
            palette, compression = struct.pack("<3I", 0xF800, 0x7E0, 0x1F), 3
        elif bits == 32:
            packed = np.concatenate([rows[..., ::-1], np.zeros_like(rows[..., :1])], axis=-1)
        else:
            packed = rows[..., ::-1]
        padding = bytes(-width * bits // 8 % 4)
        data = b"".join(row.tobytes() + padding for row in packed)
    side = -height if top_down else height
    info = struct.pack("<IiiHHIIiiII", 40, width, side, 1, bits, compression, len(data), 0, 0, 0, 0)
    offset = 54 + len(palette)
    head = struct.pack("<2sIII", b"BM", offset + len(data), 0, offset)
    return shown, head + info + palette + data


def gif(samples: Samples, *, interlaced: bool, transparent: bool) -> Made:
    """Write indices; the first one that occurs may be transparent. The codes stay at 9 bits."""
    indices = samples[..., 0]
    height, width = indices.shape
    order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4),
             *range(1, height, 2)] if interlaced else range(height)  # fmt: skip
    codes: list[int] = []
    for i, index in enumerate(indices[np.array(order)].ravel().tolist()):
        codes += [256, index] if i % 200 == 0 else [index]
    bits = sum(code << 9 * i for i, code in enumerate([*codes, 257]))
    packed = bits.to_bytes(-(-9 * (len(codes) + 1) // 8), "little")
    key = int(indices.flat[0])
    shown = PALETTE[indices]
    if transparent and not (indices == key).all():
        shown = np.where((indices == key)[..., np.newaxis], np.uint8(255), shown)
    parts = [struct.pack("<6s2H3B", b"GIF89a", width, height, 0xF7, 0, 0), PALETTE.tobytes(),
             struct.pack("<4BH2B", 0x21, 0xF9, 4, transparent, 0, key, 0),
             struct.pack("<B4HBB", 0x2C, 0, 0, width, height, 64 * interlaced, 8)]  # fmt: skip
    parts += [bytes([len(p)]) + p for i in range(0, len(packed), 255)
              if (p := packed[i : i + 255])]  # fmt: skip
    return shown, b"".join(parts) + b"\0;"


def pnm(samples: Samples, *, as_text: bool, deep: bool) -> Made:
    """Write grey or RGB samples, as text or bytes, with 8 or 16 bits."""
    height, width, channels = samples.shape
    digit = (2 if as_text else 5) + (channels == 3)
    values = samples.astype(">u2") * 257 if deep else samples
    head = b"P%d\n# text\n%d %d\n%d\n" % (digit, width, height, 65535 if deep else 255)
    if as_text:
        lines = (b" ".join(b"%d" % v for v in row.ravel()) for row in values)
        return on_white(samples), head + b"\n".join(lines)
    return on_white(samples), head + values.tobytes()


def tiff(
    samples: Samples,
    dtype: Literal["u1", "u2", "f4"],
    order: Literal["<", ">"],
    rows: int,
    *,
    tiled: bool,
    deflated: bool,
    planes: bool,
    big: bool,
) -> Made:
    """Write samples in strips or tiles, interleaved or in planes."""
    channels = samples.shape[-1]
    factor: float = {"u1": 1, "u2": 257, "f4": 1 / 255}[dtype]
    values = (samples.astype(float) * factor).astype(dtype)
    options: dict[str, Any] = {"photometric": "rgb" if channels > 2 else "minisblack"}
    if channels in {2, 4}:
        options["extrasamples"] = ["unassalpha"]
    if channels > 1:
        options["planarconfig"] = "separate" if planes else "contig"
        values = np.moveaxis(values, 2, 0) if planes else values
    else:
        values = values[..., 0]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.ascontiguousarray(values), byteorder=order, metadata=None, bigtiff=big,
        rowsperstrip=None if tiled else rows, tile=(16, 16) if tiled else None,
        compression="zlib" if deflated else None, predictor=deflated and dtype != "f4", **options,
    )  # fmt: skip
    return on_white(samples), buffer.getvalue()


def samples(*channels: int) -> st.SearchStrategy[Samples]:
    """Give samples with one of the numbers of channels."""
    side = st.integers(1, 20)
    return hnp.arrays(np.uint8, st.tuples(side, side, st.sampled_from(channels)))


def made(write: Callable[..., Made], *channels: int, **options: Any) -> st.SearchStrategy[Made]:
    """Give what an image shows, and its file."""
    return st.builds(write, samples(*channels), **options)


flag = st.booleans()
idat, kind = st.integers(1, 999), st.integers(0, 4)

LAYOUTS = st.one_of(
    made(png, 1, 2, 3, 4, bits=st.sampled_from([8, 16]), kind=kind, idat=idat, interlaced=flag,
         indexed=st.just(value=False)),
    made(png, 1, bits=st.sampled_from([1, 2, 4, 8]), kind=kind, idat=idat, interlaced=flag,
         indexed=flag),
    made(bmp, 3, bits=st.sampled_from([8, 24, 32]), top_down=flag),
    made(gif, 1, interlaced=flag, transparent=flag),
    made(pnm, 1, 3, as_text=flag, deep=flag),
    made(tiff, 1, 2, 3, 4, dtype=st.sampled_from(["u1", "u2", "f4"]), order=st.sampled_from("<>"),
         rows=st.integers(1, 20), tiled=flag, deflated=flag, planes=flag, big=flag),
)  # fmt: skip
