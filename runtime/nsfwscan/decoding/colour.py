"""Convert colours to sRGB, as browsers do: by an ICC profile, by PNG's chunks, or by CICP numbers.

Little CMS converts, with relative colorimetric intent and black point compensation. What is not an
ICC profile becomes one first. A profile that cannot be used is ignored.
"""

import io
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops

if TYPE_CHECKING:
    from nsfwscan.decoding.icc import Array

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for each space that a profile may have."""

_CACHED = 8  # profiles; a collection has few different ones
_SAME = 2  # levels of 255, for rounding and black point compensation
_LEAST_LEVELS = 16  # different levels of a ramp of greys
_NEUTRAL = 48  # levels between the channels of a grey
_FAR = 24  # levels; ProPhoto RGB is at 17, linear light at 60

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


def _profile_of_bmp(data: bytes) -> bytes:
    """Return the profile that a version 5 header embeds (Windows GDI, BITMAPV5HEADER)."""
    size, space = data[14:18], data[70:74]
    if size != b"\x7c\0\0\0" or space != b"DEBM":
        return b""
    offset, length = struct.unpack_from("<2I", data.ljust(138, b"\0"), 126)
    return data[14 + offset : 14 + offset + length]


def _profile_of_jpeg_2000(data: bytes) -> bytes:
    """Return the profile in a colour specification box (ISO 15444-1, I.5.3.3)."""
    place = data.find(b"colr\2")
    length = int.from_bytes(data[place - 4 : place], "big") if place >= 4 else 0
    return data[place + 7 : place - 4 + length]


_EMBEDDED = {"BMP": _profile_of_bmp, "DIB": _profile_of_bmp, "JPEG2000": _profile_of_jpeg_2000}
"""Where Pillow does not look."""


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
    if image.format in _EMBEDDED:
        icc = _EMBEDDED[image.format](data)
    icc = icc if isinstance(icc, bytes) and icc else None
    if image.format != "PNG":
        return icc or _of_numbers(_numbers_of_container(image, data))
    if numbers := _numbers_of_png(data):
        return _of_numbers(numbers)
    if icc or "srgb" in image.info:
        return icc
    return _of_chunks(image.info.get("gamma"), image.info.get("chromaticity"))


def _numbers_of_png(data: bytes) -> tuple[int, int] | None:
    """Return primaries and transfer function of PNG's chunk cICP (PNG 3, 11.3.2.6)."""
    position = 8
    while (head := data[position : position + 8])[4:] not in {b"IDAT", b"IEND", b""}:
        if head == b"\0\0\0\4cICP":
            primaries, transfer, matrix, _ = data[position + 8 : position + 12].ljust(4, b"\xff")
            stated = matrix == 0 and _UNSPECIFIED not in {primaries, transfer}
            return (primaries, transfer) if stated else None
        position += 12 + int.from_bytes(head[:4], "big")
    return None


def _numbers_of_container(image: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Return primaries and transfer function of a HEIF or AVIF container (ISO 14496-12, colr)."""
    if image.format not in {"HEIF", "AVIF"}:
        return None
    found = image.info.get("nclx_profile")
    if isinstance(found, dict):
        return int(found["color_primaries"]), int(found["transfer_characteristics"])
    place = data.find(b"colrnclx")
    numbers = data[place + 8 : place + 12] if place >= 0 else b""
    return struct.unpack(">HH", numbers) if len(numbers) == 4 else None


def _of_numbers(numbers: tuple[int, int] | None) -> bytes | None:
    if numbers is None:
        return None
    primaries, transfer = numbers
    return _made(_PRIMARIES.get(primaries, _SRGB), _TRANSFERS.get(transfer))


def _of_chunks(gamma: object, chromaticities: object) -> bytes | None:
    """Return the profile of PNG's chunks gAMA and cHRM."""
    primaries = chromaticities if isinstance(chromaticities, tuple) else _SRGB
    if not isinstance(gamma, float) or gamma <= 0:
        return _made(primaries, None)
    if _near(primaries, _SRGB, _SAME_PRIMARIES) and abs(gamma - _SRGB_GAMMA) <= _SAME_GAMMA:
        return None
    return _made(primaries, 1 / gamma) or _made(_SRGB, 1 / gamma)


def _near(values: Sequence[float], others: Sequence[float], most: float) -> bool:
    return all(abs(a - b) <= most for a, b in zip(values, others, strict=True))


@lru_cache(_CACHED)
def _made(primaries: tuple[float, ...], transfer: float | str | None) -> bytes | None:
    """Make a profile.

    Parameters
    ----------
    primaries
        As `nsfwscan.decoding.icc.connection_columns`.
    transfer
        An exponent, `_PQ`, `_HLG`, or None for the curve of sRGB.

    Returns
    -------
    bytes or None
        None for sRGB, or if there is no such space.
    """
    if transfer is None and _near(primaries, _SRGB, _SAME_PRIMARIES):
        return None
    from nsfwscan.decoding import icc  # with NumPy, which is slow to import and rarely needed

    try:
        columns = [icc.xyz_tag(column) for column in icc.connection_columns(primaries)]
        if transfer is None:
            curve = icc.srgb_curve()
        elif isinstance(transfer, str):
            curve = icc.table_curve(_of_pq if transfer == _PQ else _of_hlg)
        else:
            curve = icc.gamma_curve(transfer)
        return icc.rgb_profile(columns, [curve] * 3)
    except (ValueError, struct.error):
        return None


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


@dataclass(frozen=True)
class Transform:
    """A conversion to sRGB.

    Attributes
    ----------
    mode
        Pillow's mode of the images that it takes: L, RGB or CMYK.
    """

    mode: str
    _profile: bytes
    _cms: Any

    def takes(self, image: Image.Image) -> bool:
        """Whether the profile describes the image's channels. That of grey may be an RGB space."""
        match image.mode:
            case "CMYK":
                return self.mode == "CMYK"
            case "1" | "L" | "LA" | "La" | "I" | "F" | "I;16" | "I;16L" | "I;16B" | "I;16N":
                return self.mode in {"L", "RGB"}
            case "LAB" | "HSV":
                return False
        return self.mode == "RGB"

    def apply(self, image: Image.Image) -> Image.Image:
        """Convert an image of the mode to RGB."""
        converted: Image.Image = self._cms.apply(image)
        return converted

    @cached_property
    def is_strong(self) -> bool:
        """Whether the mean of two samples is far from the mean of what they show.

        Such an image is converted at its full size, with all bits that it has.
        """
        if self.mode == "CMYK":
            return False
        shown = self.greys
        pairs = itertools.combinations(range(0, 256, 15), 2)
        return any(abs(2 * shown[(a + b) // 2] - shown[a] - shown[b]) > 2 * _FAR for a, b in pairs)

    @property
    def greys(self) -> bytes:
        """The level that each of 256 greys, or amounts of black ink, shows."""
        ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
        if self.mode == "CMYK":
            none = Image.new("L", ramp.size)
            ramp = Image.merge("CMYK", [none, none, none, ramp])
        return self.apply(ramp.convert(self.mode)).convert("L").tobytes()

    def apply_16_bits(self, planes: Sequence[Image.Image]) -> Image.Image | None:
        """Convert the channels of an image to RGB.

        Parameters
        ----------
        planes
            One or three images of mode I;16.

        Returns
        -------
        PIL.Image.Image or None
            None if tables of colours describe the space, or the profile is damaged.
        """
        import numpy as np

        from nsfwscan.decoding import icc

        try:
            curves = icc.read_curves(self._profile)
            columns = [] if self.mode == "L" else icc.read_columns(self._profile)
        except (ValueError, KeyError):  # Little CMS accepts some damage
            return None
        if curves is None:
            return None
        samples = np.linspace(0, 1, 1 << 16)
        tables = [np.rint(255 * icc.to_srgb_curve(curve(samples))) for curve in curves]
        channels = [
            Image.fromarray(table.astype(np.uint8)[np.asarray(planes[min(i, len(planes) - 1)])])
            for i, table in enumerate(tables)  # a grey image may have an RGB space
        ]
        if self.mode == "L":
            return channels[0].convert("RGB")
        image = Image.merge("RGB", channels)
        rest = transform_of(icc.rgb_profile(columns, [icc.srgb_curve()] * 3))
        return image if rest is None else rest.apply(image)


@lru_cache(_CACHED)
def transform_of(profile: bytes) -> Transform | None:
    """Return the conversion from a profile to sRGB.

    Returns
    -------
    Transform or None
        None if the profile is that of sRGB, or cannot be used.
    """
    from PIL import ImageCms  # rarely needed

    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        cms = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags
        )
    except (ImageCms.PyCMSError, KeyError, OSError, ValueError, TypeError):
        return None
    transform = Transform(mode, profile, cms)
    return transform if _is_useful(transform, profile) else None


def has_table(profile: bytes) -> bool:
    """Whether a profile has a table of colours."""
    count = int.from_bytes(profile[128:132], "big")
    return b"A2B0" in profile[132 : 132 + 12 * min(count, 100)]


def _is_useful(transform: Transform, profile: bytes) -> bool:
    """Whether a conversion changes colours and keeps them apart."""
    mode = transform.mode
    greys = transform.greys
    if len(set(greys)) < _LEAST_LEVELS:
        return False
    if mode == "CMYK":
        return True
    ramp = Image.frombytes("L", (256, 1), bytes(range(256))).convert(mode)
    channels = [band.tobytes() for band in transform.apply(ramp).split()]
    apart = max(max(three) - min(three) for three in zip(*channels, strict=True))
    rises = all(one <= next_ + _SAME for one, next_ in itertools.pairwise(greys))
    # A table may describe any channels, such as those of XYB. Three primaries give greys.
    if not has_table(profile) and not (rises and apart <= _NEUTRAL):
        return False
    colours = itertools.product(range(0, 256, 51), repeat=len(mode))
    samples = bytes(itertools.chain.from_iterable(colours))
    probe = Image.frombytes(mode, (len(samples) // len(mode), 1), samples)
    return (
        max(ImageChops.difference(transform.apply(probe), probe.convert("RGB")).tobytes()) > _SAME
    )
