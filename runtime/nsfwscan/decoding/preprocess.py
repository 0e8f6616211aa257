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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING, cast

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.colour import Transform, profile_of, transform_of
from nsfwscan.decoding.deep import has_deep_colour_key, in_8_bits, planes_of, scale_colour_key
from nsfwscan.decoding.essential import essential_parts
from nsfwscan.decoding.failures import image_error, why_unidentified
from nsfwscan.decoding.frames import DistinctFrames
from nsfwscan.decoding.orientation import SWAPPING, orientation_of, upright
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.psd import has_transparency
from nsfwscan.decoding.rgb import has_alpha, on_white, split_alpha, to_rgb
from nsfwscan.decoding.tiff import is_misread, read_page
from nsfwscan.decoding.unended import ended, missing_rows
from nsfwscan.decoding.views import Box, views_of
from nsfwscan.errors import ImageError, Reason
from nsfwscan.limits import MAX_PIXELS
from nsfwscan.sources.filetype import FORMATS, HEAD_BYTES, Format, sniff

if TYPE_CHECKING:
    from nsfwscan.decoding.pixels import DecodedImage


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """A decoded image as Pillow images, for processes without NumPy.

    Attributes
    ----------
    squares
        The frames, then the views, in mode RGB, S x S.
    views, width, height, format
        As in `nsfwscan.decoding.pixels.DecodedImage`.
    """

    squares: list[Image.Image]
    views: int
    width: int
    height: int
    format: str

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.squares) - self.views


def decode(
    data: bytes,
    preprocess: Preprocess,
    *,
    frames: int = 1,
    views: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> "DecodedImage":
    """Decode an image to the pixels that a model takes.

    Parameters
    ----------
    data
        The file's bytes.
    preprocess
        The parameters of the steps.
    frames
        Most frames of an animation to take, 1 or more: those that differ most from each other. 1
        takes the first.
    views
        Most square views of a long still image to take besides the whole, 0 or more.
    max_pixels
        Most pixels (width x height) of a frame. For a value above `MAX_PIXELS`, raise
        ``PIL.Image.MAX_IMAGE_PIXELS`` too.

    Returns
    -------
    DecodedImage
        Its ``pixels`` are uint8, (k, S, S, 3), RGB, 0-255: k frames, or one frame and k - 1 views.

    Raises
    ------
    ImageError
        If the data is not an image, is damaged or too large, or has an unsupported format.
    ValueError
        If `frames` or `max_pixels` is below 1, or `views` below 0.
    """
    if frames < 1 or max_pixels < 1:
        raise ValueError(f"frames and max_pixels must be 1 or more, got {frames}, {max_pixels}")
    if views < 0:
        raise ValueError(f"views must be 0 or more, got {views}")
    found = decode_frames(data, preprocess, frames=frames, views=views, max_pixels=max_pixels)
    return to_decoded_image(found)


def to_decoded_image(found: DecodedFrames) -> "DecodedImage":
    """Convert decoded frames to an array."""
    import numpy as np  # slow to import, and not needed in workers

    from nsfwscan.decoding.pixels import DecodedImage

    pixels = np.stack([np.asarray(square) for square in found.squares])
    return DecodedImage(pixels, found.width, found.height, found.format, found.views)


def decode_frames(
    data: bytes, preprocess: Preprocess, *, frames: int, views: int, max_pixels: int
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
    plugin = row.plugin

    def attempt(data: bytes) -> DecodedFrames:
        with _open(data, plugin, row.name) as image:
            return image_frames(
                image, preprocess, frames=frames, views=views, max_pixels=max_pixels, data=data
            )

    try:
        return attempt(data)
    except ImageError as error:
        essential = essential_parts(data, plugin)
        if essential is not data:
            with suppress(ImageError):
                return attempt(essential)
        if plugin == "JPEG" and error.reason in {Reason.TRUNCATED, Reason.CORRUPT}:
            return _unended(essential, attempt, error)
        if plugin == "TIFF" and error.reason in {Reason.UNSUPPORTED, Reason.CORRUPT}:
            with suppress(ImageError):
                page = read_page(data, 0, partial(_limit, max_pixels=max_pixels), alone=True)
                return image_frames(
                    page, preprocess, frames=1, views=views, max_pixels=max_pixels, name="TIFF"
                )
        raise


def _unended(
    data: bytes, attempt: Callable[[bytes], DecodedFrames], error: ImageError
) -> DecodedFrames:
    """Decode a JPEG that lacks its end marker, but no image rows; otherwise raise the error."""
    try:
        found = attempt(ended(data))
        missing = missing_rows(data, partial(_load_whole, plugin="JPEG", name="JPEG"))
    except ImageError:
        raise error from None
    if missing:
        lacking = f"{missing:,} of {found.height:,} image rows are missing"
        raise ImageError(Reason.TRUNCATED, lacking) from error
    return found


def _load_whole(data: bytes, plugin: str, name: str) -> Image.Image:
    try:
        with _open(data, plugin, name) as image:
            return image.copy()
    except OSError as error:
        raise image_error(error, name) from error


def image_frames(
    image: Image.Image,
    preprocess: Preprocess,
    *,
    frames: int,
    views: int,
    max_pixels: int,
    data: bytes = b"",
    name: str | None = None,
) -> DecodedFrames:
    """Convert an image that Pillow has opened to the pixels that a model takes.

    This loads the image and may change its frame. It may also reduce the size of a JPEG image that
    was not loaded before, unless ``preprocess.jpeg_draft_margin`` is None.

    `data` are the bytes of its file; without them, colours are those of its ICC profile alone.
    `name` is that of the format, if the image does not know it.

    Raises
    ------
    ImageError
        If the image is damaged or has more than `max_pixels` pixels.
    """
    plugin = "JPEG" if isinstance(image, JpegImageFile) else image.format  # or MPO
    row = next((row for row in FORMATS if row.plugin == plugin), None)
    name = name or (image.format or "image" if row is None else row.name)
    try:
        _limit(image.size, max_pixels)
        several = getattr(image, "n_frames", 1) if row is not None and row.animated else 1
        if several > 1 and "default_image" in image.info:
            image.seek(1)  # APNG: the first image is for programs without animations
            several -= 1
        animated = several > 1
        if animated and frames > 1:
            size, squares = _distinct_frames(image, preprocess, frames, max_pixels, data)
        else:
            size, squares = _still(image, preprocess, views, max_pixels, data)
    except ImageError:
        raise
    except Exception as error:
        raise image_error(error, name) from error
    return DecodedFrames(squares, 0 if animated else len(squares) - 1, *size, name)


_HEIF_BRAND = b"mif1"
"""A major brand that the plugin knows. The compatible brands say what the file is."""


def _open(data: bytes, plugin: str, name: str) -> Image.Image:
    """Open an image; `name` is that of its format in messages.

    Raises
    ------
    ImageError
        If Pillow cannot open it.
    """
    if plugin == "HEIF":
        _register_heif()
        data = data[:8] + _HEIF_BRAND + data[12:]
    try:
        return Image.open(io.BytesIO(data), formats=[plugin])
    except UnidentifiedImageError as error:
        reason = why_unidentified(data, plugin)
        raise image_error(reason, name) from error
    except Exception as error:
        raise image_error(error, name) from error


@cache
def _register_heif() -> None:
    """Let Pillow open HEIF. The library is slow to load, so only HEIF images load it."""
    import pi_heif

    pi_heif.register_heif_opener()


def _limit(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            Reason.TOO_LARGE,
            f"{width:,} x {height:,} pixels are more than the limit of {max_pixels:,}",
        )


def _distinct_frames(
    image: Image.Image, preprocess: Preprocess, most: int, max_pixels: int, data: bytes
) -> tuple[tuple[int, int], list[Image.Image]]:
    """Return the size of the frame on show, and the frames that differ most."""
    size, chosen = None, DistinctFrames(most)
    transform = _transform(image, preprocess, data)
    first = image.tell()  # of a HEIF collection, the primary image
    others = range(int("default_image" in image.info), getattr(image, "n_frames", 1))
    for index in chain([first], (index for index in others if index != first)):
        if index != image.tell():
            image.seek(index)
            _limit(image.size, max_pixels)
        page = _page(image, data, max_pixels)
        if page.format != image.format or image.format in {"TIFF", "HEIF"}:  # each has its own
            transform = _transform(page, preprocess, b"")
        shown, source = _source(page, preprocess, transform)
        size = size or shown
        chosen.add(source, partial(_square, source, preprocess, transform))
    return cast("tuple[int, int]", size), chosen.squares


def _page(image: Image.Image, data: bytes, max_pixels: int) -> Image.Image:
    """Return an opened image at its frame, read by another library if Pillow would misread it."""
    if not is_misread(image):
        return image
    if not data:
        raise ImageError(Reason.UNSUPPORTED, "this layout of TIFF is decoded from its bytes only")
    return read_page(data, image.tell(), partial(_limit, max_pixels=max_pixels))


def _still(
    image: Image.Image, preprocess: Preprocess, views: int, max_pixels: int, data: bytes
) -> tuple[tuple[int, int], list[Image.Image]]:
    """Return an image's size as displayed, its square, and the squares of its views."""
    image = _page(image, data, max_pixels)
    transform = _transform(image, preprocess, data)
    size, source = _source(
        image, preprocess, transform, b"" if "default_image" in image.info else data
    )
    boxes = [None, *views_of(source.size, views)]
    return size, [_square(source, preprocess, transform, box) for box in boxes]


def _load(
    image: Image.Image, preprocess: Preprocess, transform: Transform | None
) -> tuple[int, int]:
    """Load an image, which the decoder of a JPEG reduces; return its full size as stored."""
    full, margin = None, preprocess.jpeg_draft_margin
    if transform is not None and transform.is_strong:
        margin = None
    if margin is not None and isinstance(image, JpegImageFile):
        full, least = image.size, margin * preprocess.target
        image.draft(None, (least, least))
    xmp = image.info.pop("xmp", None)  # from which Pillow would take the orientation of a TIFF
    image.load()  # some formats store EXIF data after the pixels, others rotate while loading
    if xmp is not None:
        image.info["xmp"] = xmp
    return full or image.size


def _source(
    image: Image.Image, preprocess: Preprocess, transform: Transform | None, data: bytes = b""
) -> tuple[tuple[int, int], Image.Image]:
    """Return the size of an image as displayed, and the image loaded, upright and opaque.

    Its colours are sRGB, or those of the space of a weak transform.
    """
    width, height = _load(image, preprocess, transform)
    if image.format == "PNG" and image.mode == "L":
        scale_colour_key(image, data)
    orientation = orientation_of(image)
    size = (height, width) if orientation in SWAPPING else (width, height)
    if image.format == "PSD" and image.mode == "RGBA" and not has_transparency(data):
        image = image.convert("RGB")
    if transform is not None and transform.is_strong:
        return size, upright(_converted(image, transform, data), orientation)
    if has_deep_colour_key(image, data) and (planes := planes_of(image, data)[0]):
        image = in_8_bits(planes)
    mode = "RGB" if transform is None else transform.mode
    return size, _opaque(upright(image, orientation), mode)


def _square(
    source: Image.Image,
    preprocess: Preprocess,
    transform: Transform | None,
    box: Box | None = None,
) -> Image.Image:
    """Convert a source, or a box of it, to RGB, S x S."""
    resized = _resized(source, preprocess, box)
    return resized if transform is None or transform.is_strong else transform.apply(resized)


def _converted(image: Image.Image, transform: Transform, data: bytes) -> Image.Image:
    """Convert the colours of a whole image, from all bits that it has, then flatten it."""
    planes, alpha = planes_of(image, data)
    converted = transform.apply_16_bits(planes) if planes else None
    if converted is None:
        colours, alpha = split_alpha(image) if has_alpha(image) else (to_rgb(image), None)
        converted = transform.apply(colours.convert(transform.mode))
    return converted if alpha is None else on_white(converted, alpha)


def _opaque(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to mode L, RGB or CMYK, with transparency flattened onto white."""
    if mode == "CMYK":
        return image
    rgb = to_rgb(image)
    return rgb.convert("L") if mode == "L" else rgb


def _transform(image: Image.Image, preprocess: Preprocess, data: bytes) -> Transform | None:
    """Return the conversion of an image's colours, or None if they are taken for sRGB."""
    profile = profile_of(image, data) if preprocess.revision > 1 else None
    transform = None if profile is None else transform_of(profile)
    return transform if transform is not None and transform.takes(image) else None


def _resized(image: Image.Image, preprocess: Preprocess, box: Box | None) -> Image.Image:
    """Resize an image, or a box of it, to S x S."""
    size, target = preprocess.size, preprocess.target
    interpolation = Image.Resampling[preprocess.interpolation.upper()]
    if preprocess.fit == "shorter-side":
        # Crop and resize in one step. An image a thousand times as wide as high would not fit in
        # memory if it were resized as a whole.
        left, top, right, bottom = box or (0, 0, *image.size)
        side = min(right - left, bottom - top) * size / target
        left, top = (left + right - side) / 2, (top + bottom - side) / 2
        inner = (left, top, left + side, top + side)
        return image.resize((size, size), interpolation, box=inner)
    resized = image.resize((target, target), interpolation, box=box)
    edge = (target - size) // 2
    return resized.crop((edge, edge, edge + size, edge + size))


def decoded_formats() -> tuple[Format, ...]:
    """Return the formats that `decode` supports."""
    return tuple(row for row in FORMATS if row.plugin is not None)
