"""A tiny image in each decoded format, to check that decoding works."""

import base64
import io

from PIL import Image

from nsfwscan.sources.filetype import Format

SIDE = 16
COLOUR = (200, 40, 40)

# Made once with libheif, because neither Pillow nor pi-heif writes HEIF.
_HEIF = base64.b64decode("""
AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA
AAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAADcAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAA
AA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNw
AAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPB
iQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC
////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAP21kYXQAAAAzKAGvBjIWhzSJIPC/
p0///71v9l+yTazWyeuEfoBjx+S3kJGe9F97GFLlPHQg9JxTuc2A
""")


def sample(row: Format) -> bytes:
    """Encode a square of `SIDE` pixels in about `COLOUR`.

    Parameters
    ----------
    row
        A format that is decoded.

    Raises
    ------
    KeyError, OSError
        If Pillow was built without the format.
    """
    if row.plugin == "HEIF":
        return _HEIF
    if row.plugin == "PSD":
        return _photoshop()
    stream = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), COLOUR).save(stream, row.plugin)
    return stream.getvalue()


def _photoshop() -> bytes:
    """Encode a document of one flat image (Adobe Photoshop File Formats Specification)."""
    sizes = (3).to_bytes(2, "big") + SIDE.to_bytes(4, "big") * 2
    header = b"8BPS\0\1" + bytes(6) + sizes + b"\0\x08" + b"\0\3"  # 8 bits, RGB
    planes = b"".join(bytes([level]) * SIDE**2 for level in COLOUR)
    return header + bytes(12) + b"\0\0" + planes  # no palette, resources or layers; not packed
