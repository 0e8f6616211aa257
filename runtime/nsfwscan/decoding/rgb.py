"""Convert an image of any mode to 8-bit RGB."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nsfwscan.decoding.pixels import Pixels


_OVERSHOOT = 4.0
"""Largest value of floats whose white is 1: sharpening and highlights go beyond it."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to mode RGB, with transparency flattened onto white.

    If all of an image is transparent, its fourth channel has another meaning: many programs write
    zeros there and show the image.

    16-bit samples are scaled by 255/65535. 32-bit integers and floats have no defined range. If all
    values are 0-255 or 0-65535, they are scaled from that range, otherwise from their smallest to
    their largest finite value. Floats that are all between -1 and 4 are clipped to [0, 1].
    """
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith(("I", "F")):
        import numpy as np

        return Image.fromarray(to_8_bits(np.asarray(image))).convert("RGB")
    if has_alpha(image):
        colours, alpha = split_alpha(image)
        return colours if alpha is None else on_white(colours, alpha)
    if mode == "LAB":
        from PIL import ImageCms  # rarely needed

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether an image has transparency, or a fourth channel."""
    keyed = "transparency" in image.info and not image.mode.startswith("I")
    return keyed or image.mode in {"RGBA", "LA", "PA", "RGBa", "La"}


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours, in mode RGB, and the transparency, in mode L; None if it is all zero."""
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    alpha = rgba.getchannel("A")
    return rgba.convert("RGB"), None if alpha.getextrema() == (0, 0) else alpha


def on_white(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """Flatten transparency onto white."""
    flat = Image.new("RGB", colours.size, "white")
    flat.paste(colours, mask=alpha)
    return flat


def to_8_bits(samples: "NDArray[Any]") -> "Pixels":
    """Scale samples of any dtype to uint8, as `to_rgb` describes.

    Signed samples of 8 or 16 bits are scaled from 0 to their largest possible value if none is
    negative. So are unsigned ones of 32 bits that reach half of it.
    """
    import numpy as np

    if samples.dtype == np.uint8:
        return samples
    low, high = _range(samples)
    scale = 255.0 / (high - low) if high > low else 0.0
    pixels = np.empty(samples.shape, np.uint8)
    for rows in _strips(samples):
        values = (samples[rows].astype(np.float32) - low) * scale
        values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        pixels[rows] = np.rint(np.clip(values, 0, 255))
    return pixels


def _range(samples: "NDArray[Any]") -> tuple[float, float]:
    """Return the sample values that become 0 and 255."""
    import numpy as np

    kind, size = samples.dtype.kind, samples.dtype.itemsize
    if kind == "u" and size == 2:  # bytes
        return 0.0, 65535.0
    low, high = np.inf, -np.inf
    for rows in _strips(samples):
        strip = samples[rows]
        finite = strip[np.isfinite(strip)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    tops: tuple[float, ...] = (255.0, 65535.0)
    if kind == "f":
        if low > -1 and high <= _OVERSHOOT:
            return 0.0, 1.0
    elif size < 4 or high > np.iinfo(samples.dtype).max / 2:
        tops = (float(np.iinfo(samples.dtype).max),)
    usual = next((top for top in tops if low >= 0 and high <= top), None)
    return (low, high) if usual is None else (0.0, usual)


def _strips(samples: "NDArray[Any]") -> Iterator[slice]:
    """Yield slices of rows. Converting one slice takes little memory."""
    rows = max(1, (1 << 20) // max(1, samples.shape[1]))
    yield from (slice(top, top + rows) for top in range(0, samples.shape[0], rows))
