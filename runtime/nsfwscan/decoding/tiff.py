"""Read the layouts of TIFF that Pillow reads wrongly, or not at all, with tifffile."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
_ALPHA = {_ASSOCIATED, 2}  # extra samples

UNREAD_COMPRESSIONS = {"webp", "tiff_sgilog", "tiff_sgilog24"}
"""Pillow's names of compressions that its libtiff may lack."""

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
    tags: dict[int, Any]

    @property
    def is_inverted(self) -> bool:
        return self.tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO

    @property
    def alpha(self) -> int | None:
        """The kind of its transparency (TIFF 6.0, ExtraSamples)."""
        return _first_extra(self.tags) if self.samples.shape[-1] > self.colours else None


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
    exif[274] = int(found.tags.get(274, 1))
    image.info["exif"] = exif.tobytes()
    if isinstance(profile := found.tags.get(TiffImagePlugin.ICCPROFILE), bytes):
        image.info["icc_profile"] = profile
    image.format = "TIFF"
    return image


def deep_samples(data: bytes, page: int) -> "tuple[NDArray[Any], NDArray[Any] | None] | None":
    """Return the 16-bit colours of a page, (H, W, 1 or 3), and its transparency, (H, W).

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
    return 65535 - colours if found.is_inverted else colours, alpha


def _read(data: bytes, page: int, check_size: CheckSize, *, alone: bool = False) -> _Page:
    import numpy as np
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            further = len(file.pages) > 1
            found = file.pages[page].aspage()
            check_size((found.imagewidth, found.imagelength))
            array = np.asarray(found.asarray())
            tags = {tag.code: tag.value for tag in found.tags}
    except ImageError:
        raise
    except Exception as error:
        detail = f"this variety of TIFF is not decoded ({str(error)[:200]})"
        raise ImageError(Reason.UNSUPPORTED, detail) from error
    if alone and further:
        raise ImageError(Reason.UNSUPPORTED, "pages of this variety of TIFF are not decoded")
    colours = _PHOTOMETRICS.get(int(tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, -1)), 0)
    if array.ndim == 2:
        array = array[..., np.newaxis]
    elif tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE:
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or not colours or array.shape[-1] < colours:
        raise ImageError(Reason.UNSUPPORTED, "a TIFF with these colours is not decoded; convert it")
    channels = colours + (_first_extra(tags) in _ALPHA)
    return _Page(array[..., :channels], colours, tags)


def _first_extra(tags: dict[int, Any]) -> int | None:
    """Return the kind of the first channel besides the colours."""
    extra = tags.get(TiffImagePlugin.EXTRASAMPLES, ())
    extra = extra if isinstance(extra, tuple) else (extra,)
    return int(extra[0]) if extra else None
