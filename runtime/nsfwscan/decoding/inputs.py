"""Decode images in memory: bytes, open files, Pillow images and arrays."""

import contextlib
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.decoding.preprocess import decode, image_frames, to_decoded_image
from nsfwscan.errors import ImageError, Reason
from nsfwscan.limits import ScanOptions
from nsfwscan.sources.filetype import FORMATS

_ANIMATED = {row.plugin for row in FORMATS if row.animated} - {"HEIF"}
"""Of a HEIF collection, the primary image is on show, and need not be the first."""

ImageInput = bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]
"""The bytes of an image file; a file opened in binary mode; a Pillow image; or an array: uint8,
(H, W), (H, W, 3) or (H, W, 4), grey, RGB or RGBA, 0-255."""


def decode_input(image: ImageInput, preprocess: Preprocess, options: ScanOptions) -> DecodedImage:
    """Decode an image in memory as a scan decodes its file.

    Parameters
    ----------
    image
        The image. An open file is read from its current position. A Pillow image may be loaded, and
        is otherwise unchanged. If a JPEG image is already loaded, its pixels are at full size, as
        in a scan with `exact`.
    preprocess
        The parameters of decoding.
    options
        Only `frames`, `views` and `max_pixels` apply.

    Raises
    ------
    ImageError
        If the image cannot be decoded.
    TypeError
        If the type of the image, or the dtype or shape of an array, is not supported.
    """
    frames, views, max_pixels = options.frames, options.views, options.max_pixels
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    if isinstance(image, JpegImageFile) and image.tile and image.fp is not None:
        # Not loaded yet. Decode its bytes, because a reduced decode shrinks the image object.
        with _position_kept(image.fp):
            image.fp.seek(0)
            image = image.fp.read()
    if isinstance(image, Image.Image):
        with _position_kept(image):
            if image.format in _ANIMATED and image.tell():
                image.seek(0)
            return to_decoded_image(
                image_frames(image, preprocess, frames=frames, views=views, max_pixels=max_pixels)
            )
    if hasattr(image, "read"):
        try:
            image = cast("BinaryIO", image).read()
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise ImageError(Reason.UNREADABLE, f"the file cannot be read: {error}") from error
    if not isinstance(image, (bytes, bytearray, memoryview)):
        raise TypeError(
            "expected bytes, a file open in binary mode, a Pillow image or a uint8 array, "
            f"got {type(image).__name__}"
        )
    return decode(bytes(image), preprocess, frames=frames, views=views, max_pixels=max_pixels)


@contextlib.contextmanager
def _position_kept(stream: Image.Image | IO[bytes]) -> Iterator[None]:
    """Restore the frame of an image, or the position in a file, at the end of the block."""
    position = stream.tell()
    try:
        yield
    finally:
        if stream.tell() != position:
            stream.seek(position)


def _from_array(array: NDArray[np.uint8]) -> Image.Image:
    channels = array.shape[2:] or (1,)
    if (
        array.dtype != np.uint8
        or array.ndim not in {2, 3}
        or channels not in {(1,), (3,), (4,)}
        or not array.size
    ):
        raise TypeError(
            f"expected uint8 (H, W), (H, W, 3) or (H, W, 4), got {array.dtype} {array.shape}"
        )
    return Image.fromarray(array.squeeze(axis=2) if channels == (1,) and array.ndim == 3 else array)
