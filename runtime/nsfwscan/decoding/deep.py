"""Read all 16 bits of samples, of which Pillow keeps the upper 8 in images of several channels."""

import io
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from nsfwscan.decoding.orientation import upright
from nsfwscan.decoding.tiff import deep_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOWER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""Raw modes that take the upper byte of each sample, and those that take the lower one instead."""

_GREY_ALPHA = "LA;16B"


def planes_of(
    image: Image.Image, data: bytes, page: int = 0
) -> tuple[list[Image.Image], Image.Image | None]:
    """Return the channels of a 16-bit image, and its transparency in mode L.

    Parameters
    ----------
    image
        The loaded image.
    data
        The bytes of its file; empty if they are unknown.
    page
        The number of its page in a TIFF.

    Returns
    -------
    tuple
        One or three images of mode I;16; none if the image is neither grey nor a PNG or TIFF of 16
        bits.
        The transparency, or None.
    """
    import numpy as np  # slow to import, and rarely needed

    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        return [Image.fromarray(_without_colour(grey, grey == key))], None
    if not data or image.format not in {"PNG", "TIFF"}:
        return [], None
    found = deep_samples(data, page) if image.format == "TIFF" else _png_samples(data)
    if found is None:
        return [], None
    samples, opacity, orientation = found
    alpha = None
    if not isinstance(image, TiffImageFile):
        orientation = 1  # Pillow has turned its own image upright
    # Opacity of zero everywhere is not transparency, see `nsfwscan.decoding.rgb.split_alpha`.
    if opacity is not None and opacity.any():
        alpha = upright(Image.fromarray((opacity >> 8).astype(np.uint8)), orientation)
    if isinstance(key, tuple):
        samples = _without_colour(samples, (samples == key).all(axis=-1))
    channels = [np.ascontiguousarray(samples[..., i]) for i in range(samples.shape[-1])]
    return [upright(Image.fromarray(channel), orientation) for channel in channels], alpha


def _png_samples(data: bytes) -> "tuple[NDArray[Any], NDArray[Any] | None, int] | None":
    """Return the colours of a PNG of 16 bits, (H, W, 1 or 3), and its transparency, (H, W).

    The third value is 1, since nothing of it is turned.
    """
    import numpy as np

    with Image.open(io.BytesIO(data), formats=["PNG"]) as upper:
        raw = upper.tile[0].args
        if raw == _GREY_ALPHA:
            # Four bytes a pixel: both of the grey sample, then both of the alpha sample.
            upper.tile = [upper.tile[0]._replace(args="RGBA")]
            both = np.asarray(upper).astype(np.uint16)
            samples = both[..., 0::2] << 8 | both[..., 1::2]
        elif raw in _LOWER:
            with Image.open(io.BytesIO(data), formats=["PNG"]) as lower:
                lower.tile = [lower.tile[0]._replace(args=_LOWER[raw])]
                samples = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)
        else:
            return None
    colours = 3 if samples.shape[-1] > 2 else 1
    return samples[..., :colours], samples[..., -1] if samples.shape[-1] > colours else None, 1


def _without_colour(samples: "NDArray[Any]", clear: Any) -> "NDArray[Any]":
    """Return samples with white where they have the transparent colour, unless all have it."""
    import numpy as np

    if np.any(clear) and not np.all(clear):
        samples = samples.copy()
        samples[clear] = 65535
    return samples


def has_deep_colour_key(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG of 16 bits has a transparent colour, which Pillow compares in 8 bits."""
    return image.format == "PNG" and "transparency" in image.info and data[24:25] == b"\x10"


def in_8_bits(planes: list[Image.Image]) -> Image.Image:
    """Return one or three images of mode I;16 as one of mode RGB."""
    import numpy as np

    samples = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    pixels = np.rint(samples / np.float32(257)).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if len(planes) == 1 else pixels).convert("RGB")


def scale_colour_key(image: Image.Image, data: bytes) -> None:
    """Scale the transparent colour of a grey PNG of 2 or 4 bits as Pillow scales its samples."""
    key, factor = image.info.get("transparency"), {2: 85, 4: 17}.get(data[24] if data[24:] else 8)
    if isinstance(key, int) and factor is not None:
        image.info["transparency"] = key * factor
