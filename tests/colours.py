"""Compare the colours that the scanner sees with those that an image shows."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pillow_heif
from helpers import encoded, load_photo
from numpy.typing import NDArray
from PIL import Image

from nsfwscan import Preprocess, decode

SMALL = Preprocess(size=64)
OLD = Preprocess(size=64, revision=1)
PHOTO = load_photo("astronaut.png").resize((300, 300))


def pixels(data: bytes, preprocess: Preprocess = SMALL) -> NDArray[np.int64]:
    found: NDArray[np.int64] = decode(data, preprocess).pixels[0].astype(int)
    return found


def difference(data: bytes, shown: Image.Image, preprocess: Preprocess = SMALL) -> float:
    """Return the mean difference from an sRGB image, in levels."""
    plain = encoded(Image.fromarray(np.asarray(shown)), "PNG")  # without its profile
    return float(np.abs(pixels(data, preprocess) - pixels(plain)).mean())


def heic(image: Image.Image, profile: bytes) -> bytes:
    container = pillow_heif.from_pillow(image)
    buffer = io.BytesIO()
    container.save(buffer, quality=95, **({"icc_profile": profile} if profile else {}))
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Image.Image, bytes], bytes]] = {
    "JPEG": lambda image, icc: encoded(image, "JPEG", quality=97, subsampling=0, icc_profile=icc),
    "PNG": lambda image, icc: encoded(image, "PNG", icc_profile=icc),
    "WEBP": lambda image, icc: encoded(image, "WEBP", quality=97, icc_profile=icc),
    "lossless WEBP": lambda image, icc: encoded(image, "WEBP", lossless=True, icc_profile=icc),
    "TIFF": lambda image, icc: encoded(image, "TIFF", icc_profile=icc),
    "AVIF": lambda image, icc: encoded(image, "AVIF", quality=95, icc_profile=icc),
    "HEIC": heic,
}


def stored(data: bytes) -> Image.Image:
    """Return the samples of a file as an image, whatever its profile."""
    if data[4:12] == b"ftypheic":
        return pillow_heif.open_heif(data)[0].to_pillow()
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def gamma(exponent: float) -> tuple[bytes, bytes]:
    """Return name and contents of a PNG's chunk."""
    return b"gAMA", struct.pack(">I", round(100_000 / exponent))
