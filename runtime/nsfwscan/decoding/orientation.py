"""Turn an image upright, as browsers do."""

from PIL import ExifTags, Image

SWAPPING = frozenset({5, 6, 7, 8})
"""The orientations that swap width and height."""

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes an image upright, by EXIF orientation (Exif 2.32, tag 0x0112)."""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image, 1-8; 1 if it is missing or invalid.

    Browsers go by EXIF data alone. `Image.getexif` falls back on XMP.
    """
    stored = image.info.get("exif")
    try:
        if isinstance(stored, bytes):
            exif = Image.Exif()
            exif.load(stored)
            orientation = exif.get(ExifTags.Base.Orientation)
        else:
            orientation = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - damaged EXIF data raises anything; the pixels may be intact
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TO_UPRIGHT else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image upright, given its orientation."""
    return image if orientation == 1 else image.transpose(_TO_UPRIGHT[orientation])
