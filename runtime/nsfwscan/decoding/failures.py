"""Translate a decoder's exceptions to `ImageError`."""

import struct

from nsfwscan.errors import ImageError, Reason

_DETAIL = 300
"""Most characters to keep of a decoder's message, which may quote the file."""

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
    """Translate a decoder's exception to a reason and a sentence.

    Decoders have no common exceptions, so the reason mostly depends on words of the message.
    """
    said = _one_line(error)
    lowered = said.lower()

    def has_any(words: tuple[str, ...]) -> bool:
        return any(word in lowered for word in words)

    if isinstance(error, MemoryError) or has_any(_MEMORY_WORDS):
        return ImageError(Reason.TOO_LARGE, "there is not enough memory to decode it")
    if has_any(_UNPACKING_WORDS):
        detail = f"text or a colour profile in it is too large after decompression ({said})"
        return ImageError(Reason.TOO_LARGE, detail)
    # Plugins look up layouts of samples by numbers of the header.
    if isinstance(error.__cause__, KeyError) or has_any(_UNSUPPORTED_WORDS):
        detail = f"this variety of {format_name} is not decoded ({said})"
        return ImageError(Reason.UNSUPPORTED, detail)
    if isinstance(error, (EOFError, struct.error)) or has_any(_TRUNCATED_WORDS):
        return ImageError(Reason.TRUNCATED, ends_early(format_name))
    return ImageError(Reason.CORRUPT, f"the {format_name} data is damaged ({said})")


def ends_early(format_name: str) -> str:
    """Say that a file's end is missing."""
    return f"the {format_name} data ends too early"


def _one_line(error: Exception) -> str:
    return " ".join(str(error)[:_DETAIL].split()) or type(error).__name__
