"""Read the layouts of TIFF that Pillow reads wrongly, or not at all, with tifffile."""

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image, TiffImagePlugin

from nsfwscan.decoding.rgb import to_8_bits
from nsfwscan.errors import ImageError, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNED, _FLOAT = 2, 3  # sample formats (TIFF 6.0, section 19)
_UNCOMPRESSED, _SEPARATE, _WHITE_IS_ZERO = 1, 2, 0
_PHOTOMETRICS = {0: 1, 1: 1, 2: 3}
"""Channels of colour by photometric interpretation: white is zero, black is zero, RGB."""
_ASSOCIATED = 1
_ORIENTATION = 274
_ALPHA = {_ASSOCIATED, 2}  # extra samples

UNREAD_COMPRESSIONS = {"webp", "tiff_sgilog", "tiff_sgilog24"}
"""Pillow's names of compressions that its libtiff may lack."""

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # failures raise exceptions

CheckSize = Callable[[tuple[int, int]], None]


def is_misread(image: Image.Image) -> bool:
    """Whether an opened image is a TIFF whose samples Pillow would read wrongly."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    kind = max(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)))
    compressed = tags.get(TiffImagePlugin.COMPRESSION, 1) != _UNCOMPRESSED
    planes = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE
    return (
        kind == _SIGNED
        or (planes and (bits > 8 or image.mode == "LA"))
        or (bits > 8 and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO)
        or (bits == 32 and kind != _FLOAT)
        or (kind == _FLOAT and compressed and tags.prefix == b"MM")
    )


@dataclass(frozen=True, slots=True)
class _Page:
    samples: "NDArray[Any]"  # (H, W, channels); the last is transparency if there is one more
    colours: int
    is_inverted: bool
    alpha: int | None  # the kind of its transparency (TIFF 6.0, ExtraSamples)
    orientation: int
    profile: bytes | None


def read_page(data: bytes, page: int, check_size: CheckSize, *, alone: bool = False) -> Image.Image:
    """Read a page as an image of 8 bits, not turned upright.

    Parameters
    ----------
    data
        The bytes of the file.
    page
        The number of the page, from 0.
    check_size
        Raises ImageError if width x height are too many pixels.
    alone
        Whether a file with further pages is refused.

    Returns
    -------
    PIL.Image.Image
        Mode L, LA, RGB or RGBA. ``info`` has its profile, and EXIF data with its orientation.

    Raises
    ------
    ImageError
        If tifffile does not read it, or it has other colours.
    """
    import numpy as np

    found = _read(data, page, check_size, alone=alone)
    samples = to_8_bits(found.samples)
    if found.is_inverted:
        samples[..., 0] = 255 - samples[..., 0]
    single = samples.shape[-1] == 1
    image = Image.fromarray(samples[..., 0] if single else np.ascontiguousarray(samples))
    if found.alpha == _ASSOCIATED:
        mode = image.mode
        image = Image.frombytes(mode[:-1] + "a", image.size, image.tobytes()).convert(mode)
    exif = Image.Exif()
    exif[_ORIENTATION] = found.orientation
    image.info["exif"] = exif.tobytes()
    if found.profile is not None:
        image.info["icc_profile"] = found.profile
    image.format = "TIFF"
    return image


def deep_samples(data: bytes, page: int) -> "tuple[NDArray[Any], NDArray[Any] | None, int] | None":
    """Return the 16-bit colours, (H, W, 1 or 3), transparency, (H, W), and orientation of a page.

    Parameters
    ----------
    data, page
        As in `read_page`.

    Returns
    -------
    tuple or None
        None if it has other samples, or its colours are multiplied by the transparency.

    Raises
    ------
    ImageError
        As in `read_page`.
    """
    import numpy as np

    found = _read(data, page, lambda _: None)
    if found.samples.dtype != np.uint16 or found.alpha == _ASSOCIATED:
        return None
    colours = found.samples[..., : found.colours].astype(np.uint16)
    alpha = None if found.alpha is None else found.samples[..., found.colours].astype(np.uint16)
    return 65535 - colours if found.is_inverted else colours, alpha, found.orientation


def _read(data: bytes, page: int, check_size: CheckSize, *, alone: bool = False) -> _Page:
    import numpy as np
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            further = len(file.pages) > 1
            found = file.pages[page].aspage()
            check_size((found.imagewidth, found.imagelength))
            array = np.asarray(found.asarray())
            if array.dtype == bool:  # one bit a sample
                array = np.where(array, np.uint8(255), np.uint8(0))
            colours = _PHOTOMETRICS.get(int(found.photometric), 0)
            extra = int(found.extrasamples[0]) if found.extrasamples else None
            profile, orientation = found.iccprofile, found.tags.valueof(_ORIENTATION)
    except ImageError:
        raise
    except Exception as error:
        detail = f"this variety of TIFF is not decoded ({str(error)[:200]})"
        raise ImageError(Reason.UNSUPPORTED, detail) from error
    if alone and further:
        raise ImageError(Reason.UNSUPPORTED, "pages of this variety of TIFF are not decoded")
    if array.ndim == 2:
        array = array[..., np.newaxis]
    elif found.planarconfig == _SEPARATE:
        array = np.moveaxis(array, 0, -1)
    known = array.ndim == 3 and array.size and array.dtype.kind in "uif"
    if not known or not colours or array.shape[-1] < colours:
        raise ImageError(Reason.UNSUPPORTED, "a TIFF with these colours is not decoded; convert it")
    alpha = extra if extra in _ALPHA and array.shape[-1] > colours else None
    return _Page(
        samples=array[..., : colours + (alpha is not None)],
        colours=colours,
        is_inverted=int(found.photometric) == _WHITE_IS_ZERO,
        alpha=alpha,
        orientation=orientation if orientation in range(1, 9) else 1,
        profile=profile if isinstance(profile, bytes) else None,
    )


def scaled(image: Image.Image) -> Image.Image:
    """Return a loaded page whose samples of 12 bits, which Pillow does not scale, have 16."""
    tags = getattr(image, "tag_v2", {})
    if not image.mode.startswith("I;16") or tags.get(TiffImagePlugin.BITSPERSAMPLE) != (12,):
        return image
    import numpy as np

    wide = Image.fromarray((np.asarray(image).astype(np.uint32) * 65535 // 4095).astype(np.uint16))
    wide.info, wide.format = image.info, image.format
    return wide


def is_short(data: bytes) -> bool:
    """Whether the strips or tiles of the first page, or its directory, lie beyond the data."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
            return max(ends, default=0) > len(data)
    except Exception:  # noqa: BLE001 - tifffile raises anything; the directory is often at the end
        order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
        return int.from_bytes(data[4:8], order) + 2 > len(data)
