"""What a decoder's exception means for the image, as an `ImageError`."""

import io
import struct

from PIL import Image

from nsfwscan.errors import ImageError, Reason

_DETAIL = 300
"""Most characters of a decoder's message, which may quote the file."""

_MEMORY_WORDS = ("out of memory", "memory allocation")
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


def image_error(error: Exception, format_name: str) -> ImageError:
    """Give the reason, and a sentence, for what a decoder raised.

    Decoders have no common exceptions, so that mostly the words of the message decide.
    """
    said = _one_line(error)
    lowered = said.lower()

    def has_any(words: tuple[str, ...]) -> bool:
        return any(word in lowered for word in words)

    if isinstance(error, Image.DecompressionBombError):
        return ImageError(Reason.TOO_LARGE, f"Pillow refuses it: {said}")
    if isinstance(error, MemoryError) or has_any(_MEMORY_WORDS):
        return ImageError(Reason.TOO_LARGE, "there is not enough memory to decode it")
    if has_any(_UNPACKING_WORDS):
        detail = f"text or a colour profile in it unpacks to too much ({said})"
        return ImageError(Reason.TOO_LARGE, detail)
    if has_any(_UNSUPPORTED_WORDS):
        detail = f"this variety of {format_name} is not decoded ({said})"
        return ImageError(Reason.UNSUPPORTED, detail)
    if isinstance(error, (EOFError, struct.error)) or has_any(_TRUNCATED_WORDS):
        return ImageError(Reason.TRUNCATED, f"the {format_name} data ends too early")
    return ImageError(Reason.CORRUPT, f"the {format_name} data is damaged ({said})")


def why_unidentified(data: bytes, plugin: str) -> Exception:
    """Give the plugin's own exception, which `Image.open` does not pass on."""
    factory, _ = Image.OPEN[plugin]
    try:
        factory(io.BytesIO(data), "").close()
    except Exception as error:  # noqa: BLE001 - decoders raise anything on damaged data
        return error
    return ValueError("the header is of no known kind")


def _one_line(error: Exception) -> str:
    return " ".join(str(error)[:_DETAIL].split()) or type(error).__name__
