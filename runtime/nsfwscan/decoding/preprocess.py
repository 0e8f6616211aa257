"""From an image's bytes to the pixels that a model sees.

Training, export and scanning all use these steps, so that a model scores the same pixels, bit for
bit, as it was trained on:

1. identify the format by content, never by name;
2. refuse an image with more pixels than the limit, by its header, before decoding;
3. let the JPEG decoder scale down by 2, 4 or 8 while both sides keep at least
   `Preprocess.jpeg_draft_margin` times what they are resized to;
4. apply the EXIF orientation;
5. flatten transparency onto white, and convert any mode to 8-bit RGB (`nsfwscan.decoding.rgb`);
6. resize, antialiased, and crop the centre if the model wants it.

Scaling to floats and normalisation belong to the model (`nsfwscan.inference.manifest`).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.failures import image_error, why_unidentified
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.rgb import to_rgb
from nsfwscan.errors import ImageError, Reason
from nsfwscan.limits import MAX_PIXELS
from nsfwscan.sources.filetype import FORMATS, HEAD_BYTES, Format, sniff

if TYPE_CHECKING:
    from nsfwscan.decoding.pixels import DecodedImage

_SWAPPING_ORIENTATIONS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """A decoded image as Pillow images, for processes that do without NumPy.

    Attributes
    ----------
    frames
        In mode RGB, S x S.
    width, height, format
        As in `nsfwscan.decoding.pixels.DecodedImage`.
    """

    frames: list[Image.Image]
    width: int
    height: int
    format: str


def decode(
    data: bytes, preprocess: Preprocess, *, frames: int = 1, max_pixels: int = MAX_PIXELS
) -> "DecodedImage":
    """Decode an image and bring it to the shape a model takes.

    Parameters
    ----------
    data
        The file's bytes.
    preprocess
        The parameters of the steps.
    frames
        Most frames of an animation to take, 1 or more. They are spread evenly over it and include
        the first and the last; 1 takes the first.
    max_pixels
        Most pixels (width x height) of a frame. For a value above `MAX_PIXELS`, raise
        ``PIL.Image.MAX_IMAGE_PIXELS`` too.

    Returns
    -------
    DecodedImage
        With ``pixels`` uint8, (k, S, S, 3), RGB, 0-255, where 1 <= k <= `frames`.

    Raises
    ------
    ImageError
        If the data is no image, is damaged or too large, or has a format that is not decoded.
    ValueError
        If `frames` or `max_pixels` is below 1.
    """
    if frames < 1 or max_pixels < 1:
        raise ValueError(f"frames and max_pixels must be 1 or more, got {frames}, {max_pixels}")
    found = decode_frames(data, preprocess, frames=frames, max_pixels=max_pixels)
    return to_decoded_image(found)


def to_decoded_image(found: DecodedFrames) -> "DecodedImage":
    """Convert decoded frames to an array."""
    import numpy as np  # slow to import, and the workers do without

    from nsfwscan.decoding.pixels import DecodedImage

    pixels = np.stack([np.asarray(frame) for frame in found.frames])
    return DecodedImage(pixels, found.width, found.height, found.format)


def decode_frames(
    data: bytes, preprocess: Preprocess, *, frames: int, max_pixels: int
) -> DecodedFrames:
    """Decode as `decode` does, but give Pillow images.

    Raises
    ------
    ImageError
        As `decode`.
    """
    row = sniff(data[:HEAD_BYTES])
    if row is None:
        raise ImageError(Reason.NOT_AN_IMAGE, "the content is no image")
    if row.plugin is None:
        raise ImageError(
            Reason.UNSUPPORTED, f"{row.name} images are not decoded; convert it to PNG or JPEG"
        )
    try:
        image = _open(data, row.plugin)
    except Exception as error:
        raise image_error(error, row.name) from error
    with image:
        return image_frames(image, preprocess, frames=frames, max_pixels=max_pixels)


def image_frames(
    image: Image.Image, preprocess: Preprocess, *, frames: int, max_pixels: int
) -> DecodedFrames:
    """Bring an image that Pillow has opened to the shape a model takes.

    The image is loaded. It may show another frame afterwards, and a JPEG image that was not loaded
    before may have been reduced in size, unless ``preprocess.jpeg_draft_margin`` is None.

    Raises
    ------
    ImageError
        If the image is damaged or has more than `max_pixels` pixels.
    """
    plugin = "JPEG" if isinstance(image, JpegImageFile) else image.format  # or MPO
    row = next((row for row in FORMATS if row.plugin == plugin), None)
    name = image.format or "image" if row is None else row.name
    try:
        _limit(image.size, max_pixels)
        animated = row is not None and row.animated
        chosen = _frames(image, frames if animated else 1, max_pixels)
        size, first = _first(next(chosen), preprocess)
        made = [_square(first, preprocess)]
        made += [_square(_upright(frame), preprocess) for frame in chosen]
    except ImageError:
        raise
    except Exception as error:
        raise image_error(error, name) from error
    return DecodedFrames(made, *size, name)


def _open(data: bytes, plugin: str) -> Image.Image:
    if plugin == "HEIF":
        _register_heif()
    try:
        return Image.open(io.BytesIO(data), formats=[plugin])
    except UnidentifiedImageError as error:
        raise why_unidentified(data, plugin) from error


@cache
def _register_heif() -> None:
    """Let Pillow open HEIF. Loading the library takes time, which only such images should cost."""
    import pi_heif

    pi_heif.register_heif_opener()


def spread(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` frames, evenly spread, the first and the last included.

    Returns
    -------
    list of int
        Indices in ascending order without repetition: ``min(count, most)`` of them.
    """
    if most == 1 or count == 1:
        return [0]
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _limit(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            Reason.TOO_LARGE,
            f"{width:,} x {height:,} pixels are more than the limit of {max_pixels:,}",
        )


def _frames(image: Image.Image, most: int, max_pixels: int) -> Iterator[Image.Image]:
    """Yield the image once for each frame to score, showing that frame."""
    if most == 1:
        yield image  # for a HEIF collection, the primary image
        return
    for index in spread(getattr(image, "n_frames", 1), most):
        if index != image.tell():
            image.seek(index)
            _limit(image.size, max_pixels)
        yield image


def _first(image: Image.Image, preprocess: Preprocess) -> tuple[tuple[int, int], Image.Image]:
    """Give the size of an image as displayed, and the upright image, which a JPEG may reduce."""
    if preprocess.jpeg_draft_margin is None or not isinstance(image, JpegImageFile):
        upright = _upright(image)
        return upright.size, upright
    width, height = image.size
    least = preprocess.jpeg_draft_margin * preprocess.target
    image.draft(None, (least, least))
    if _orientation(image) in _SWAPPING_ORIENTATIONS:
        width, height = height, width
    return (width, height), _upright(image)


_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image upright, by EXIF orientation (Exif 2.32, tag 0x0112)."""


def _orientation(image: Image.Image) -> int:
    """Give the EXIF orientation, 1-8; 1 if it is missing or invalid."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - damaged EXIF data raises anything; the pixels may be fine
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TO_UPRIGHT else 1


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # some formats store EXIF data after the pixels, some rotate while loading
    orientation = _orientation(image)
    return image if orientation == 1 else image.transpose(_TO_UPRIGHT[orientation])


def _square(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Turn one upright frame into RGB, S x S."""
    rgb = to_rgb(image)
    size, target = preprocess.size, preprocess.target
    interpolation = Image.Resampling[preprocess.interpolation.upper()]
    if preprocess.fit == "shorter-side":
        # Crop and resize in one step: an image a thousand times as wide as high would not fit in
        # memory at that scale.
        width, height = rgb.size
        side = min(width, height) * size / target
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return rgb.resize((size, size), interpolation, box=box)
    resized = rgb.resize((target, target), interpolation)
    edge = (target - size) // 2
    return resized.crop((edge, edge, edge + size, edge + size))


def decoded_formats() -> tuple[Format, ...]:
    """Give the formats that `decode` takes."""
    return tuple(row for row in FORMATS if row.plugin is not None)
