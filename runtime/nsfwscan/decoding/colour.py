"""Convert colours from the space of an ICC profile to sRGB, as browsers do.

Little CMS converts, with relative colorimetric intent and black point compensation. A profile that
cannot be used is ignored.
"""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from PIL import Image, ImageChops

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for each space that a profile may have."""

_CACHED = 8  # profiles; a collection has few different ones
_SAME = 2  # levels of 255, for rounding and black point compensation
_LEAST_LEVELS = 2  # different levels of a ramp of greys
_NEUTRAL = 48  # levels between the channels of a grey
_FAR = 12  # levels; Display P3 and Adobe RGB are at 6, ProPhoto RGB at 18, linear light at 60


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
