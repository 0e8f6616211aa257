"""From a file's bytes to the pixels that a model sees: defined here, once.

Training, export and scanning all call `decode`; what a model was trained on is bit for bit what
it is asked about. The steps, in order:

1. identify the format by content, never by name;
2. refuse what has more pixels than the limit, by the header, before decoding;
3. JPEG: let the decoder scale down by 2, 4 or 8 while it decodes, as far as both sides keep
   `Preprocess.jpeg_draft_margin` times what they are resized to;
4. apply the EXIF orientation;
5. flatten transparency onto white, and turn any mode into 8-bit RGB;
6. resize, antialiased, and crop the centre if the model wants it.

Scaling to floats and normalisation are the model's own (see `nsfwscan.inference.manifest`).
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.errors import ImageError, Reason
from nsfwscan.limits import MAX_PIXELS
from nsfwscan.sources.filetype import FORMATS, HEAD_BYTES, Format, sniff

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nsfwscan.decoding.pixels import DecodedImage, Pixels

_SWAPPING_ORIENTATIONS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """A decoded image, still in Pillow's hands: most that decode it have no use for NumPy.

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
        How many frames of an animation to take at most, 1 or more. They are spread evenly over
        it, the first and the last among them; 1 is the first.
    max_pixels
        Most pixels (width x height) that a frame may have. A value above `MAX_PIXELS` works as
        far as ``PIL.Image.MAX_IMAGE_PIXELS``, which is the process's to set, allows it.

    Returns
    -------
    Image
        With ``pixels`` uint8, (k, S, S, 3), RGB, 0-255, where 1 <= k <= `frames`.

    Raises
    ------
    ImageError
        If the data is no image, of a format that is not decoded, damaged, or too large.
    ValueError
        If `frames` or `max_pixels` is below 1.
    """
    import numpy as np  # slow to import, and the workers do without

    from nsfwscan.decoding.pixels import DecodedImage

    found = decode_frames(data, preprocess, frames=frames, max_pixels=max_pixels)
    pixels = np.stack([np.asarray(frame) for frame in found.frames])
    return DecodedImage(pixels, found.width, found.height, found.format)


def decode_frames(
    data: bytes, preprocess: Preprocess, *, frames: int, max_pixels: int
) -> DecodedFrames:
    """Do what `decode` does, short of making an array of it."""
    if frames < 1 or max_pixels < 1:
        raise ValueError(f"frames and max_pixels must be 1 or more, got {frames}, {max_pixels}")
    row = sniff(data[:HEAD_BYTES])
    if row is None:
        raise ImageError(Reason.NOT_AN_IMAGE, "the content is no image")
    if row.plugin is None:
        raise ImageError(
            Reason.UNSUPPORTED, f"{row.name} images are not decoded; convert it to PNG or JPEG"
        )
    try:
        if row.plugin == "HEIF":
            _register_heif()
        with Image.open(io.BytesIO(data), formats=[row.plugin]) as image:
            _limit(image.size, max_pixels)
            chosen = _frames(image, row, frames, max_pixels)
            size, first = _first(next(chosen), preprocess)
            made = [_square(first, preprocess)]
            made += [_square(_upright(frame), preprocess) for frame in chosen]
    except ImageError:
        raise
    except Exception as error:
        raise _image_error(error, row, data) from error
    return DecodedFrames(made, *size, row.name)


@cache
def _register_heif() -> None:
    """Let Pillow open HEIF; where no such file is met, nothing waits for that library."""
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


def _frames(image: Image.Image, row: Format, most: int, max_pixels: int) -> Iterator[Image.Image]:
    """Yield the frames to score, each the image itself with another frame on show."""
    if not row.animated or most == 1:
        yield image  # of a HEIF collection this is the primary image
        return
    for index in spread(getattr(image, "n_frames", 1), most):
        if index != image.tell():
            image.seek(index)
            _limit(image.size, max_pixels)
        yield image


def _first(image: Image.Image, preprocess: Preprocess) -> tuple[tuple[int, int], Image.Image]:
    """Give the size of an image as displayed, and the image upright, maybe scaled down."""
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
"""What brings an image of each EXIF orientation upright (Exif 2.32, tag 0x0112)."""


def _orientation(image: Image.Image) -> int:
    """Give the EXIF orientation, 1-8; 1 where there is none, or none that makes sense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - damaged EXIF data raises anything; the pixels may be fine
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TO_UPRIGHT else 1


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # some formats keep their EXIF data behind the pixels, some turn while loading
    orientation = _orientation(image)
    return image if orientation == 1 else image.transpose(_TO_UPRIGHT[orientation])


def _square(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Turn one upright frame into RGB, S x S."""
    rgb = to_rgb(image)
    size, target = preprocess.size, preprocess.target
    interpolation = Image.Resampling[preprocess.interpolation.upper()]
    if preprocess.fit == "shorter-side":
        # Crop and resize in one step: of an image a thousand times as wide as high, the whole
        # would not fit into memory at that scale.
        width, height = rgb.size
        side = min(width, height) * size / target
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return rgb.resize((size, size), interpolation, box=box)
    resized = rgb.resize((target, target), interpolation)
    edge = (target - size) // 2
    return resized.crop((edge, edge, edge + size, edge + size))


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn an image of any mode into mode RGB, what is transparent onto white.

    Samples of 16 bits are scaled by 255/65535. For 32-bit integers and floats no range is laid
    down: values within [0, 1] (floats), 0-255 or 0-65535 are taken for that, anything else is
    stretched from its smallest to its largest finite value.
    """
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith(("I", "F")):
        import numpy as np

        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        straight = image.convert("LA") if mode == "La" else image
        rgba = straight.convert("RGBA")
        flat = Image.new("RGB", rgba.size, "white")
        flat.paste(rgba, mask=rgba)
        return flat
    if mode == "LAB":
        from PIL import ImageCms  # seldom needed

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")


def _to_8_bits(samples: "NDArray[Any]") -> "Pixels":
    import numpy as np

    low, high = _range(samples)
    scale = 255.0 / (high - low) if high > low else 0.0
    pixels = np.empty(samples.shape, np.uint8)
    for rows in _strips(samples):
        values = (samples[rows].astype(np.float32) - low) * scale
        values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        pixels[rows] = np.rint(np.clip(values, 0, 255))
    return pixels


def _range(samples: "NDArray[Any]") -> tuple[float, float]:
    """Give the values that become 0 and 255."""
    import numpy as np

    if samples.dtype.itemsize == 2:  # bytes
        return 0.0, 65535.0
    low, high = np.inf, -np.inf
    for rows in _strips(samples):
        strip = samples[rows]
        finite = strip[np.isfinite(strip)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    tops = (1.0, 255.0, 65535.0) if samples.dtype.kind == "f" else (255.0, 65535.0)
    usual = next((top for top in tops if low >= 0 and high <= top), None)
    return (low, high) if usual is None else (0.0, usual)


def _strips(samples: "NDArray[Any]") -> Iterator[slice]:
    """Cut an image into strips of rows, so that what is made of one takes little memory."""
    rows = max(1, (1 << 20) // max(1, samples.shape[1]))
    yield from (slice(top, top + rows) for top in range(0, samples.shape[0], rows))


_DETAIL = 300
"""Characters of what a decoder says: it may quote the file."""

_UNPACKING_WORDS = ("decompressed data too large", "max_text_memory")
_UNSUPPORTED_WORDS = ("unsupported", "not supported", "not implemented", "unknown", "unhandled")
_TRUNCATED_WORDS = (
    "truncated",
    "end of file",
    "eof",
    "unexpected end",
    "end-of-stream",
    "requires a buffer",
)


def _image_error(error: Exception, row: Format, data: bytes) -> ImageError:
    """Say in one sentence what a decoder's exception means for the image."""
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(Reason.TOO_LARGE, f"Pillow refuses it: {_one_line(error)}")
    if isinstance(error, MemoryError):
        return ImageError(Reason.TOO_LARGE, "there is not enough memory to decode it")
    if isinstance(error, UnidentifiedImageError):
        error = _why_unidentified(row, data)
    said = _one_line(error)
    lowered = said.lower()
    if "out of memory" in lowered or "memory allocation" in lowered:
        return _image_error(MemoryError(), row, data)
    if any(words in lowered for words in _UNPACKING_WORDS):
        return ImageError(
            Reason.TOO_LARGE, f"text or a colour profile in it unpacks to too much ({said})"
        )
    if any(word in lowered for word in _UNSUPPORTED_WORDS):
        return ImageError(Reason.UNSUPPORTED, f"this variety of {row.name} is not decoded ({said})")
    ended = isinstance(error, (EOFError, struct.error))
    if ended or any(word in lowered for word in _TRUNCATED_WORDS):
        return ImageError(Reason.TRUNCATED, f"the {row.name} data ends too early")
    return ImageError(Reason.CORRUPT, f"the {row.name} data is damaged ({said})")


def _why_unidentified(row: Format, data: bytes) -> Exception:
    """Ask the plugin itself what it does not like: `Image.open` does not pass that on."""
    factory, _ = Image.OPEN[row.plugin or ""]
    try:
        factory(io.BytesIO(data), "").close()
    except Exception as error:  # noqa: BLE001 - decoders raise anything on damaged data
        return error
    return ValueError("the header is of no known kind")


def _one_line(error: Exception) -> str:
    return " ".join(str(error)[:_DETAIL].split()) or type(error).__name__


def decoded_formats() -> tuple[Format, ...]:
    """Give the formats that `decode` takes."""
    return tuple(row for row in FORMATS if row.plugin is not None)
