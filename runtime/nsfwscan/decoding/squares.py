"""Convert opened images to squares: steps 2 to 7 of `nsfwscan.decoding.preprocess`.

Little CMS converts a weakly curved space after the reduction, and a strongly curved one before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import cast

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.colour import Transform, transform_of
from nsfwscan.decoding.deep import has_deep_colour_key, in_8_bits, planes_of, scale_colour_key
from nsfwscan.decoding.frames import Distinct, small_image
from nsfwscan.decoding.gif import Painted
from nsfwscan.decoding.orientation import SWAPPING, orientation_of, upright
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.profiles import profile_of
from nsfwscan.decoding.psd import has_transparency
from nsfwscan.decoding.rgb import has_alpha, on_white, split_alpha, to_rgb
from nsfwscan.decoding.tiff import is_misread, read_page, scaled
from nsfwscan.decoding.views import Box, views_of
from nsfwscan.errors import ImageError, Reason

_LEAST_DURATION, _MOST_DURATION, _DURATION = 10, 60_000, 100.0
"""Milliseconds: browsers show frames of 10 or less for 100. Pages have no duration."""


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise ImageError if an image has too many pixels."""
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            Reason.TOO_LARGE,
            f"{width:,} x {height:,} pixels are more than the limit of {max_pixels:,}",
        )


@dataclass(frozen=True, slots=True)
class Squares:
    """What is scored of an image.

    Attributes
    ----------
    size
        Width and height in pixels, as displayed.
    frames, views
        In mode RGB, S x S.
    left_out
        Number of frames and views that differ from others, but are too many to score.
    """

    size: tuple[int, int]
    frames: list[Image.Image]
    views: list[Image.Image]
    left_out: int


def distinct_squares(
    image: Image.Image,
    preprocess: Preprocess,
    frames: int,
    views: int,
    max_pixels: int,
    data: bytes,
) -> Squares:
    """Return the squares of an animation's frames, and of their views, that differ most."""
    size, is_long, chosen = None, False, _Chosen(preprocess, frames, views)
    read = partial(_each_frame, image, preprocess, max_pixels, data)
    first = image.tell()  # of a HEIF collection, the primary image
    for shown, source, transform in read(first):
        size = size or shown
        is_long = is_long or bool(views_of(source.size, views))
        chosen.add_frame(source, transform, _duration(image))
    if is_long:  # only now is it known which frames are scored
        kept = set(chosen.frames.numbers)
        for number, (_, source, transform) in enumerate(read(first)):
            if number in kept:
                chosen.add_views(source, transform)
    return chosen.squares(cast("tuple[int, int]", size))


def _each_frame(
    image: Image.Image, preprocess: Preprocess, max_pixels: int, data: bytes, first: int
) -> Iterator[tuple[tuple[int, int], Image.Image, Transform | None]]:
    """Yield the size as displayed, source and transform of each frame, beginning with one."""
    painted, transform = Painted(), _transform(image, preprocess, data)
    others = range(int("default_image" in image.info), getattr(image, "n_frames", 1))
    for index in chain([first], (index for index in others if index != first)):
        if index != image.tell():
            image.seek(index)
            check_size(image.size, max_pixels)
        page = _page(image, data, max_pixels)
        if image.format in {"TIFF", "HEIF"}:  # each has its own
            transform = _transform(page, preprocess, b"")
        own = data if image.format == "TIFF" else b""
        shown, source = _source(page, preprocess, transform, own, index, painted)
        yield shown, source, transform


def _duration(image: Image.Image) -> float:
    """Return for how many milliseconds the frame is shown that is loaded."""
    stated = image.info.get("duration")
    if isinstance(stated, (int, float)) and _LEAST_DURATION < stated <= _MOST_DURATION:
        return float(stated)
    return _DURATION


def squares_of_one(
    image: Image.Image, preprocess: Preprocess, views: int, max_pixels: int, data: bytes
) -> Squares:
    """Return the square of an image, or of the frame that it shows, and those of its views."""
    image = _page(image, data, max_pixels)
    transform = _transform(image, preprocess, data)
    size, source = _source(
        image, preprocess, transform, b"" if "default_image" in image.info else data
    )
    chosen = _Chosen(preprocess, 1, views)
    chosen.add_frame(source, transform, 0)
    chosen.add_views(source, transform)
    return chosen.squares(size)


class _Chosen:
    """The frames and the views to score."""

    def __init__(self, preprocess: Preprocess, frames: int, views: int) -> None:
        self._preprocess = preprocess
        self._most_views = views
        self.frames, self._views = Distinct(frames), Distinct(views)

    def add_frame(
        self, source: Image.Image, transform: Transform | None, duration: float = 1
    ) -> None:
        """Add a frame that is shown for so long."""
        self._add(self.frames, source, transform, (0, 0, *source.size), duration)

    def add_views(self, source: Image.Image, transform: Transform | None) -> None:
        """Add the views of a frame."""
        for box in views_of(source.size, self._most_views):
            self._add(self._views, source, transform, box)

    def _add(
        self,
        distinct: Distinct,
        source: Image.Image,
        transform: Transform | None,
        box: Box,
        duration: float = 1,
    ) -> None:
        small = _in_srgb(small_image(source, box), transform).convert("RGB")
        distinct.add(small, partial(_square, source, self._preprocess, transform, box), duration)

    def squares(self, size: tuple[int, int]) -> Squares:
        """Return what was chosen."""
        left_out = self.frames.left_out + self._views.left_out
        return Squares(size, self.frames.squares, self._views.squares, left_out)


def _page(image: Image.Image, data: bytes, max_pixels: int) -> Image.Image:
    """Return an opened image at its frame, read by another library if Pillow would misread it."""
    if not is_misread(image):
        return image
    if not data:
        raise ImageError(Reason.UNSUPPORTED, "this layout of TIFF is decoded from its bytes only")
    return read_page(data, image.tell(), partial(check_size, max_pixels=max_pixels))


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
    image: Image.Image,
    preprocess: Preprocess,
    transform: Transform | None,
    data: bytes = b"",
    page: int = 0,
    painted: Painted | None = None,
) -> tuple[tuple[int, int], Image.Image]:
    """Return the size of an image as displayed, and the image loaded, upright and opaque.

    Its colours are sRGB, or those of the space of a weak transform. `page` is its number in a TIFF,
    and `painted` has the earlier frames of a GIF.
    """
    mask = (painted or Painted()).add(image) if image.format == "GIF" else None
    width, height = _load(image, preprocess, transform)
    if image.format == "PNG" and image.mode == "L":
        scale_colour_key(image, data)
    orientation = orientation_of(image)
    if image.format == "TIFF":
        image = scaled(image)
    size = (height, width) if orientation in SWAPPING else (width, height)
    if image.format == "PSD" and image.mode == "RGBA" and not has_transparency(data):
        image = image.convert("RGB")
    if transform is not None and transform.is_strong:
        return size, upright(_converted(image, transform, data, page), orientation)
    if has_deep_colour_key(image, data) and (planes := planes_of(image, data)[0]):
        image = in_8_bits(planes)
    mode = "RGB" if transform is None else transform.mode
    source = _opaque(upright(image, orientation), mode)
    return size, source if mask is None else on_white(source, mask)


def _square(
    source: Image.Image, preprocess: Preprocess, transform: Transform | None, box: Box
) -> Image.Image:
    """Convert a box of a source to RGB, S x S."""
    return _in_srgb(_resized(source, preprocess, box), transform)


def _in_srgb(source: Image.Image, transform: Transform | None) -> Image.Image:
    """Convert a reduced source to RGB."""
    return source if transform is None or transform.is_strong else transform.apply(source)


def _converted(image: Image.Image, transform: Transform, data: bytes, page: int) -> Image.Image:
    """Convert the colours of a whole image, from all bits that it has, then flatten it."""
    planes, alpha = planes_of(image, data, page)
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


def _resized(image: Image.Image, preprocess: Preprocess, box: Box) -> Image.Image:
    """Resize a box of an image to S x S."""
    size, target = preprocess.size, preprocess.target
    interpolation = Image.Resampling[preprocess.interpolation.upper()]
    if preprocess.fit == "shorter-side":
        # Crop and resize in one step. An image a thousand times as wide as high would not fit in
        # memory if it were resized as a whole.
        left, top, right, bottom = box
        side = min(right - left, bottom - top) * size / target
        left, top = (left + right - side) / 2, (top + bottom - side) / 2
        inner = (left, top, left + side, top + side)
        return image.resize((size, size), interpolation, box=inner)
    resized = image.resize((target, target), interpolation, box=box)
    edge = (target - size) // 2
    return resized.crop((edge, edge, edge + size, edge + size))
