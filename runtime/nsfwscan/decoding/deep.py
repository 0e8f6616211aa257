"""Read all 16 bits of samples, of which Pillow keeps the upper 8 in images of several channels."""

import io

from PIL import Image

_LOWER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""Raw modes that take the upper byte of each sample, and those that take the lower one instead."""

_GREY_ALPHA = "LA;16B"


def planes_of(image: Image.Image, data: bytes) -> list[Image.Image]:
    """Return the channels of a 16-bit image, flattened onto white.

    Parameters
    ----------
    image
        The loaded image.
    data
        The bytes of its file; empty if they are unknown.

    Returns
    -------
    list of PIL.Image.Image
        One or three images of mode I;16; none if the image is neither grey nor a PNG of 16 bits.
    """
    import numpy as np  # slow to import, and rarely needed

    if image.mode.startswith("I;16"):
        return [Image.fromarray(np.asarray(image).astype(np.uint16))]
    if image.format != "PNG" or not data:
        return []
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
            return []
    if samples.shape[-1] in {2, 4}:
        alpha = samples[..., -1:] / np.float32(65535)
        flat = 65535 + alpha * (samples[..., :-1] - np.float32(65535))
        samples = np.rint(flat).astype(np.uint16)
    return [Image.fromarray(samples[..., i]) for i in range(samples.shape[-1])]
