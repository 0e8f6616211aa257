"""Convert opened images to squares: steps 2 to 7 of `nsfwscan.decoding.preprocess`.

Little CMS converts a weakly curved space after the reduction, and a strongly curved one before.
"""

from functools import partial

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.colour import Transform, transform_of
from nsfwscan.decoding.deep import has_deep_colour_key, in_8_bits, planes_of, scale_colour_key
from nsfwscan.decoding.gif import Painted
from nsfwscan.decoding.orientation import SWAPPING, orientation_of, upright
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.profiles import profile_of
from nsfwscan.decoding.psd import has_transparency
from nsfwscan.decoding.rgb import has_alpha, on_white, split_alpha, to_rgb
from nsfwscan.decoding.tiff import is_misread, read_page, scaled
from nsfwscan.decoding.views import Box
from nsfwscan.errors import ImageError, Reason


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise ImageError if an image has too many pixels."""
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            Reason.TOO_LARGE,
            f"{width:,} x {height:,} pixels are more than the limit of {max_pixels:,} "
            "(see --max-pixels)",
        )


def page_of(image: Image.Image, data: bytes, max_pixels: int) -> Image.Image:
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


def source_of(
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


def square_of(
    source: Image.Image, preprocess: Preprocess, transform: Transform | None, box: Box
) -> Image.Image:
    """Convert a box of a source to RGB, S x S."""
    return in_srgb(_resized(source, preprocess, box), transform)


def in_srgb(source: Image.Image, transform: Transform | None) -> Image.Image:
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


def transform_for(image: Image.Image, preprocess: Preprocess, data: bytes) -> Transform | None:
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
