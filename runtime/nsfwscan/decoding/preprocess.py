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
from typing import TYPE_CHECKING

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding import png
from nsfwscan.decoding.cut import is_cut
from nsfwscan.decoding.essential import essential_parts
from nsfwscan.decoding.failures import ends_early, image_error
from nsfwscan.decoding.frames import distinct_squares, squares_of_frame, squares_of_one
from nsfwscan.decoding.gif import with_disposals
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.squares import check_size
from nsfwscan.decoding.tiff import UNREAD_COMPRESSIONS, read_page
from nsfwscan.decoding.unended import ended, missing_rows
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
    views, frame_numbers, total_frames, width, height, format
        As in `nsfwscan.decoding.pixels.DecodedImage`.
    left_out
        As in `nsfwscan.decoding.frames.Squares`.
    """

    squares: list[Image.Image]
    views: int
    frame_numbers: list[int]
    total_frames: int
    left_out: int
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
        Most parts of long frames to take besides them, 0 or more.
    max_pixels
        Most pixels (width x height) of a frame. Pillow's own limit does not apply.

    Returns
    -------
    DecodedImage
        Its ``pixels`` are uint8, (k, S, S, 3), RGB, 0-255: the frames, then the views.

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
    return DecodedImage(
        pixels, found.width, found.height, found.format, found.views,
        tuple(found.frame_numbers), found.total_frames,
    )  # fmt: skip


def decode_frames(
    data: bytes,
    preprocess: Preprocess,
    *,
    frames: int,
    views: int,
    max_pixels: int,
    frame: int | None = None,
) -> DecodedFrames:
    """Decode as `decode` does, but return Pillow images.

    With `frame`, decode only the frame of this index in the file.

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

    def attempt(data: bytes, profile: bytes | None = None) -> DecodedFrames:
        with _open(data, plugin, row.name) as image:
            if profile is not None:
                image.info["icc_profile"] = profile
            return image_frames(
                image, preprocess, frames=frames, views=views, max_pixels=max_pixels, data=data,
                frame=frame,
            )  # fmt: skip

    try:
        return attempt(data)
    except ImageError as error:
        essential = essential_parts(data, plugin)
        if essential is not data:
            with suppress(ImageError):
                return attempt(essential, png.colour_chunks(data).get(b"iCCP"))
        if plugin == "JPEG" and error.reason in {Reason.TRUNCATED, Reason.CORRUPT}:
            return _unended(essential, attempt, error)
        if plugin == "TIFF" and error.reason in {Reason.UNSUPPORTED, Reason.CORRUPT}:
            with suppress(ImageError):
                page = read_page(data, 0, partial(check_size, max_pixels=max_pixels), alone=True)
                return image_frames(
                    page, preprocess, frames=1, views=views, max_pixels=max_pixels, data=data
                )
        if error.reason in {Reason.CORRUPT, Reason.UNSUPPORTED} and is_cut(data, plugin):
            raise ImageError(Reason.TRUNCATED, ends_early(row.name)) from error
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
    frame: int | None = None,
) -> DecodedFrames:
    """Convert an image that Pillow has opened to the pixels that a model takes.

    This loads the image and may change its frame. It may also reduce the size of a JPEG image that
    was not loaded before, unless ``preprocess.jpeg_draft_margin`` is None.

    `data` are the bytes of its file; without them, colours are those of its ICC profile alone. With
    `frame`, only the frame of this index in the file is converted.

    Raises
    ------
    ImageError
        If the image is damaged or has more than `max_pixels` pixels.
    """
    plugin = "JPEG" if isinstance(image, JpegImageFile) else image.format  # or MPO
    row = next((row for row in decoded_formats() if row.plugin == plugin), None)
    name = image.format or "image" if row is None else row.name
    try:
        check_size(image.size, max_pixels)
        total = getattr(image, "n_frames", 1) if row is not None and row.animated else 1
        several = total
        if several > 1 and "default_image" in image.info:
            image.seek(1)  # APNG: the first image is for programs without animations
            several -= 1
        if frame is not None:
            found = squares_of_frame(image, preprocess, frame, max_pixels, data)
        elif several > 1 and frames > 1:
            found = distinct_squares(image, preprocess, frames, views, max_pixels, data)
        else:
            number = image.tell() if total > 1 else 0  # Pillow counts the layers of a PSD from 1
            found = squares_of_one(image, preprocess, number, views, max_pixels, data)
    except ImageError:
        raise
    except Exception as error:
        if image.info.get("compression") in UNREAD_COMPRESSIONS:
            detail = f"{image.info['compression']} compression of TIFF is not decoded"
            raise ImageError(Reason.UNSUPPORTED, detail) from error
        raise image_error(error, name) from error
    squares = [*found.frames, *found.views]
    return DecodedFrames(
        squares, len(found.views), found.frame_numbers, total, found.left_out,
        *found.size, name,
    )  # fmt: skip


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
    elif plugin == "GIF":
        data = with_disposals(data)
    if plugin not in Image.OPEN:
        Image.init()
    try:
        # `Image.open` would refuse what exceeds a limit of its own, and hide the errors.
        return Image.OPEN[plugin][0](io.BytesIO(data), "")
    except Exception as error:
        raise image_error(error, name) from error


@cache
def _register_heif() -> None:
    """Let Pillow open HEIF. The library is slow to load, so only HEIF images load it."""
    import pi_heif

    pi_heif.register_heif_opener()


def decoded_formats() -> tuple[Format, ...]:
    """Return the formats that `decode` supports."""
    return tuple(row for row in FORMATS if row.plugin is not None)
