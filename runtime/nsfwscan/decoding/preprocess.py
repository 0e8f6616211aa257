"""Convert an image's bytes to the pixels that a model sees.

Training, export and scanning use the same steps, so that a model scores exactly the pixels that it
was trained on:

1. identify the format by content, never by name;
2. refuse an image with too many pixels, by its header, before decoding;
3. let the JPEG decoder scale down by 2, 4 or 8 as long as both sides keep at least
   `Preprocess.jpeg_draft_margin` times their final size;
4. apply the EXIF orientation;
5. flatten transparency onto white, and convert any mode to 8-bit RGB (`nsfwscan.decoding.rgb`);
6. resize with antialiasing, and crop the centre if the model requires it;
7. convert the colours to sRGB, unless they are (`nsfwscan.decoding.colour`).

Scaling to floats and normalisation belong to the model (`nsfwscan.inference.manifest`).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.colour import Transform, profile_of, transform_of
from nsfwscan.decoding.deep import planes_of
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
    """A decoded image as Pillow images, for processes without NumPy.

    Attributes
    ----------
    frames
        The frames, in mode RGB, S x S.
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
    """Decode an image to the pixels that a model takes.

    Parameters
    ----------
    data
        The file's bytes.
    preprocess
        The parameters of the steps.
    frames
        Most frames of an animation to take, 1 or more. They are spread evenly and include the first
        and the last frame; 1 takes the first.
    max_pixels
        Most pixels (width x height) of a frame. For a value above `MAX_PIXELS`, raise
        ``PIL.Image.MAX_IMAGE_PIXELS`` too.

    Returns
    -------
    DecodedImage
        Its ``pixels`` are uint8, (k, S, S, 3), RGB, 0-255, where 1 <= k <= `frames`.

    Raises
    ------
    ImageError
        If the data is not an image, is damaged or too large, or has an unsupported format.
    ValueError
        If `frames` or `max_pixels` is below 1.
    """
    if frames < 1 or max_pixels < 1:
        raise ValueError(f"frames and max_pixels must be 1 or more, got {frames}, {max_pixels}")
    found = decode_frames(data, preprocess, frames=frames, max_pixels=max_pixels)
    return to_decoded_image(found)


def to_decoded_image(found: DecodedFrames) -> "DecodedImage":
    """Convert decoded frames to an array."""
    import numpy as np  # slow to import, and not needed in workers

    from nsfwscan.decoding.pixels import DecodedImage

    pixels = np.stack([np.asarray(frame) for frame in found.frames])
    return DecodedImage(pixels, found.width, found.height, found.format)


def decode_frames(
    data: bytes, preprocess: Preprocess, *, frames: int, max_pixels: int
) -> DecodedFrames:
    """Decode as `decode` does, but return Pillow images.

    Raises
    ------
    ImageError
        As `decode`.
    """
    row = sniff(data[:HEAD_BYTES])
    if row is None:
        raise ImageError(Reason.NOT_AN_IMAGE, "the content is not an image")
    if row.plugin is None:
        raise ImageError(
            Reason.UNSUPPORTED, f"{row.name} images are not decoded; convert it to PNG or JPEG"
        )
    try:
        image = _open(data, row.plugin)
    except Exception as error:
        raise image_error(error, row.name) from error
    with image:
        return image_frames(image, preprocess, frames=frames, max_pixels=max_pixels, data=data)


def image_frames(
    image: Image.Image,
    preprocess: Preprocess,
    *,
    frames: int,
    max_pixels: int,
    data: bytes = b"",
) -> DecodedFrames:
    """Convert an image that Pillow has opened to the pixels that a model takes.

    This loads the image and may change its frame. It may also reduce the size of a JPEG image that
    was not loaded before, unless ``preprocess.jpeg_draft_margin`` is None.

    `data` are the bytes of its file; without them, colours are those of its ICC profile alone.

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
        first = next(chosen)
        transform = _transform(first, preprocess, data)
        size = _load(first, preprocess, transform)
        made = [_square(first, preprocess, transform, data)]
        for frame in chosen:
            frame.load()
            made.append(_square(frame, preprocess, _transform(frame, preprocess, b"")))
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
    """Let Pillow open HEIF. The library is slow to load, so only HEIF images load it."""
    import pi_heif

    pi_heif.register_heif_opener()


def spread(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` frames, evenly spread, including the first and the last.

    Returns
    -------
    list of int
        ``min(count, most)`` different indices in ascending order.
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
    """Yield the image once for each frame to score, positioned at that frame."""
    if most == 1:
        yield image  # a HEIF collection is positioned at its primary image
        return
    for index in spread(getattr(image, "n_frames", 1), most):
        if index != image.tell():
            image.seek(index)
            _limit(image.size, max_pixels)
        yield image


def _load(
    image: Image.Image, preprocess: Preprocess, transform: Transform | None
) -> tuple[int, int]:
    """Load an image, which the decoder of a JPEG reduces; return its full size as displayed."""
    full, margin = None, preprocess.jpeg_draft_margin
    if transform is not None and transform.is_strong:
        margin = None
    if margin is not None and isinstance(image, JpegImageFile):
        full, least = image.size, margin * preprocess.target
        image.draft(None, (least, least))
    image.load()  # some formats store EXIF data after the pixels, others rotate while loading
    width, height = full or image.size
    return (height, width) if _orientation(image) in _SWAPPING_ORIENTATIONS else (width, height)


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


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1-8; 1 if it is missing or invalid."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - damaged EXIF data raises anything; the pixels may be intact
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TO_UPRIGHT else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation == 1 else image.transpose(_TO_UPRIGHT[orientation])


def _square(
    image: Image.Image, preprocess: Preprocess, transform: Transform | None, data: bytes = b""
) -> Image.Image:
    """Convert one loaded frame to RGB, S x S; `data` are the bytes of the file of a first frame."""
    orientation = _orientation(image)
    if transform is not None and transform.is_strong:
        converted = _converted(image, transform, data)
        return _resized(_upright(converted, orientation), preprocess)
    upright = _upright(image, orientation)
    if transform is None:
        return _resized(to_rgb(upright), preprocess)
    return transform.apply(_resized(_opaque(upright, transform.mode), preprocess))


def _converted(image: Image.Image, transform: Transform, data: bytes) -> Image.Image:
    """Convert the colours of a whole image, from all bits that it has."""
    if planes := planes_of(image, data):
        converted = transform.apply_16_bits(planes)
        if converted is not None:
            return converted
    return transform.apply(_opaque(image, transform.mode))


def _opaque(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to mode L, RGB or CMYK, with transparency flattened onto white."""
    return image if mode == "CMYK" else to_rgb(image).convert(mode)


def _transform(image: Image.Image, preprocess: Preprocess, data: bytes) -> Transform | None:
    """Return the conversion of an image's colours, or None if they are taken for sRGB."""
    profile = profile_of(image, data) if preprocess.revision > 1 else None
    transform = None if profile is None else transform_of(profile)
    return transform if transform is not None and transform.takes(image) else None


def _resized(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Resize an image to S x S."""
    size, target = preprocess.size, preprocess.target
    interpolation = Image.Resampling[preprocess.interpolation.upper()]
    if preprocess.fit == "shorter-side":
        # Crop and resize in one step. An image a thousand times as wide as high would not fit in
        # memory if it were resized as a whole.
        width, height = image.size
        side = min(width, height) * size / target
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((size, size), interpolation, box=box)
    resized = image.resize((target, target), interpolation)
    edge = (target - size) // 2
    return resized.crop((edge, edge, edge + size, edge + size))


def decoded_formats() -> tuple[Format, ...]:
    """Return the formats that `decode` supports."""
    return tuple(row for row in FORMATS if row.plugin is not None)
