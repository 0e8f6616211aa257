"""Find the ICC profile of an image's colours, or make one of what the file says instead.

PNG has chunks for this, and HEIF, AVIF and PNG have the numbers of ITU-T H.273 (CICP).
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image
from PIL.TiffImagePlugin import ICCPROFILE, TiffImageFile

from nsfwscan.decoding import png
from nsfwscan.decoding.boxes import box_at, boxes_of

if TYPE_CHECKING:
    from nsfwscan.decoding.icc import Array

_CACHED = 8  # profiles; a collection has few different ones

_SRGB_GAMMA, _SAME_GAMMA = 0.45455, 0.0005  # what PNG 3, 13.13, calls sRGB for simple decoders
_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_SAME_PRIMARIES = 0.005

_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
"""White, red, green and blue by their number (ITU-T H.273, table 2); any other is that of sRGB."""

_UNSPECIFIED = 2
_PQ, _HLG = "PQ", "HLG"
_TRANSFERS: dict[int, float | str] = {4: 2.2, 5: 2.8, 8: 1.0, 16: _PQ, 17: 2.6, 18: _HLG}
"""Exponents and names by the number of the transfer function (table 3). The others that images use
are close to sRGB's."""

_WHITE_NITS = 203  # of SDR white in HDR (ITU-R BT.2408)
_HLG_NITS, _HLG_GAMMA = 1000, 1.2  # of the reference display (ITU-R BT.2100)
_KNEE = 0.8  # of SDR white, from where brighter light is compressed


def profile_of(image: Image.Image, data: bytes = b"") -> bytes | None:
    """Return the ICC profile of an image's colours; None if they are sRGB or unknown.

    Parameters
    ----------
    image
        The image as Pillow has opened it.
    data
        The bytes of its file, which say more than Pillow does.
    """
    icc = image.info.get("icc_profile")
    if isinstance(image, TiffImageFile):  # Pillow keeps that of an earlier page
        icc = image.tag_v2.get(ICCPROFILE)
    icc = icc if isinstance(icc, bytes) and icc else None
    if image.format == "PNG":
        return _of_png(data, icc) if data else icc or _of_info(image)
    if image.format in _OUTSIDE_PILLOW:
        return _OUTSIDE_PILLOW[image.format](data)
    return icc or _of_numbers(_numbers_of_container(image, data))


def _of_png(data: bytes, icc: bytes | None) -> bytes | None:
    """Return the profile of a PNG by the order of its chunks (PNG 3, 4.3).

    `icc` is one that `data` may lack.
    """
    said = png.colour_chunks(data)
    if b"cICP" in said:
        primaries, transfer, matrix, _ = said[b"cICP"]
        if matrix == 0 and _UNSPECIFIED not in {primaries, transfer}:
            return _of_numbers((primaries, transfer))
    icc = said.get(b"iCCP") or icc
    if icc or b"sRGB" in said:
        return icc
    gamma, chromaticities = (
        tuple(number / 100_000 for (number,) in struct.iter_unpack(">I", said.get(name, b"")))
        for name in (b"gAMA", b"cHRM")
    )
    return _of_gamma(gamma[0] if gamma else None, chromaticities or None)


def _of_info(image: Image.Image) -> bytes | None:
    """Return the profile of a PNG of which only Pillow's image is known."""
    if "srgb" in image.info:
        return None
    return _of_gamma(image.info.get("gamma"), image.info.get("chromaticity"))


def _of_bmp(data: bytes) -> bytes | None:
    """Return the profile of a header of version 4 or 5 (Windows GDI, BITMAPV5HEADER)."""
    head = data[14:138].ljust(124, b"\0")
    size, space = int.from_bytes(head[:4], "little"), head[56:60]
    if size == _BMP_5 and space == b"DEBM":  # embedded
        offset, length = struct.unpack_from("<2I", head, 112)
        return data[14 + offset : 14 + offset + length] or None
    if size in {_BMP_4, _BMP_5} and space == bytes(4):  # calibrated
        endpoints = struct.unpack_from("<9I", head, 60)
        colours = [endpoints[i : i + 3] for i in (0, 3, 6)]
        gammas = [number / (1 << 16) for number in struct.unpack_from("<3I", head, 96)]
        if all(map(sum, colours)) and all(gammas):
            white = tuple(map(sum, zip(*colours, strict=True)))
            points = [value / sum(one) for one in (white, *colours) for value in one[:2]]
            return _made(tuple(points), *gammas)
    return None


def _of_jpeg_2000(data: bytes) -> bytes | None:
    """Return the profile in the first colour specification box (ISO 15444-1, I.5.3.3)."""
    said = box_at(data, b"jp2h", b"colr")
    return said[3:] or None if said[:1] == b"\2" else None


_BMP_4, _BMP_5 = 108, 124  # bytes of the header
_OUTSIDE_PILLOW: dict[str, Callable[[bytes], bytes | None]]
_OUTSIDE_PILLOW = {"BMP": _of_bmp, "DIB": _of_bmp, "JPEG2000": _of_jpeg_2000}


def _numbers_of_container(image: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Return primaries and transfer function of a HEIF or AVIF container (ISO 14496-12, colr)."""
    if image.format not in {"HEIF", "AVIF"}:
        return None
    found = image.info.get("nclx_profile")
    if isinstance(found, dict):
        return int(found["color_primaries"]), int(found["transfer_characteristics"])
    properties = box_at(box_at(data, b"meta")[4:], b"iprp", b"ipco")
    said = next((body for body in boxes_of(properties, b"colr") if body[:4] == b"nclx"), b"")
    return struct.unpack_from(">HH", said, 4) if len(said) >= 8 else None


def _of_numbers(numbers: tuple[int, int] | None) -> bytes | None:
    if numbers is None:
        return None
    primaries, transfer = numbers
    return _made(_PRIMARIES.get(primaries, _SRGB), _TRANSFERS.get(transfer))


def _of_gamma(gamma: object, chromaticities: object) -> bytes | None:
    """Return the profile of PNG's gamma and chromaticities."""
    primaries = chromaticities if isinstance(chromaticities, tuple) else _SRGB
    if not isinstance(gamma, float) or gamma <= 0:
        return _made(primaries, None)
    if _near(primaries, _SRGB, _SAME_PRIMARIES) and abs(gamma - _SRGB_GAMMA) <= _SAME_GAMMA:
        return None
    return _made(primaries, 1 / gamma) or _made(_SRGB, 1 / gamma)


def _near(values: Sequence[float], others: Sequence[float], most: float) -> bool:
    return all(abs(a - b) <= most for a, b in zip(values, others, strict=True))


@lru_cache(_CACHED)
def _made(primaries: tuple[float, ...], *transfers: float | str | None) -> bytes | None:
    """Make a profile.

    Parameters
    ----------
    primaries
        As `nsfwscan.decoding.icc.connection_columns`.
    *transfers
        One for all channels or one for each: an exponent, `_PQ`, `_HLG`, or None for the curve of
        sRGB.

    Returns
    -------
    bytes or None
        None for sRGB, or if there is no such space.
    """
    if transfers == (None,) and _near(primaries, _SRGB, _SAME_PRIMARIES):
        return None
    from nsfwscan.decoding import icc  # with NumPy, which is slow to import and rarely needed

    try:
        columns = [icc.xyz_tag(column) for column in icc.connection_columns(primaries)]
        curves = [_curve(transfer) for transfer in transfers] * (3 // len(transfers))
        return icc.rgb_profile(columns, curves)
    except (ValueError, struct.error):
        return None


def _curve(transfer: float | str | None) -> bytes:
    from nsfwscan.decoding import icc

    if transfer is None:
        return icc.srgb_curve()
    if isinstance(transfer, str):
        return icc.table_curve(_of_pq if transfer == _PQ else _of_hlg)
    return icc.gamma_curve(transfer)


def _of_pq(signal: "Array") -> "Array":
    """Return light relative to SDR white (SMPTE ST 2084), compressed."""
    root = signal ** (1 / 78.84375)
    ratio = (root - 0.8359375).clip(0) / (18.8515625 - 18.6875 * root)
    return _compressed(10_000 * ratio ** (1 / 0.1593017578125) / _WHITE_NITS)


def _of_hlg(signal: "Array") -> "Array":
    """Return light relative to SDR white (ITU-R BT.2100, table 5), compressed."""
    import numpy as np

    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return _compressed(_HLG_NITS * scene**_HLG_GAMMA / _WHITE_NITS)


def _compressed(light: "Array") -> "Array":
    """Compress light above the knee, so that nothing exceeds 1. Browsers differ in how they do."""
    import numpy as np

    room = 1 - _KNEE
    above = _KNEE + room * (1 - np.exp(-(light - _KNEE) / room))
    return np.where(light <= _KNEE, light, above)
