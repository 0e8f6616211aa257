"""Leave out the parts of a file that its image does not depend on.

Pillow refuses an image over damaged or large metadata that no viewer looks at.
"""

from collections.abc import Callable, Iterator

from nsfwscan.decoding import png
from nsfwscan.decoding.jpeg import START_OF_SCAN, segments

_PROFILE_BYTES = 1 << 20  # Pillow refuses larger ones

_PNG_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}
"""Chunks that are kept, by their only valid length."""
_PNG_FRAMES = {b"acTL", b"fcTL", b"fdAT"}
_PNG_TRANSPARENCY = {0: 2, 2: 6}
"""The length of tRNS by colour type; a palette has any."""
_PALETTE = 3

_JPEG_KEPT = {
    0xE0: (b"JFIF\0", 14),
    0xE1: (b"Exif\0\0", 6),
    0xE2: (b"ICC_PROFILE\0", 14),
    0xEE: (b"Adobe", 12),
}
"""Application segments that are kept: how they begin, and their least length."""
_COMMENT = 0xFE


def essential_parts(data: bytes, plugin: str) -> bytes:
    """Return a file without its metadata, or `data` itself if there is nothing to leave out.

    Parameters
    ----------
    data
        The bytes of the file.
    plugin
        Pillow's name of its format. Files other than PNG and JPEG stay as they are.
    """
    parts: Callable[[bytes], Iterator[bytes]] | None
    parts = {"PNG": _png_parts, "JPEG": _jpeg_parts}.get(plugin)
    if parts is None:
        return data
    kept = b"".join(parts(data))
    return data if len(kept) == len(data) else kept


def _png_parts(data: bytes) -> Iterator[bytes]:
    """Yield the signature and the chunks to keep (PNG 3, section 5)."""
    yield data[: png.SIGNATURE_BYTES]
    animated = b"fcTL" in data
    kind = data[25] if len(data) > 25 else 0
    rest = png.SIGNATURE_BYTES
    for name, start, rest in png.chunks(data):
        is_critical = not name[0] & 0x20
        is_frame = name in _PNG_FRAMES and animated
        if is_critical or is_frame or _is_sound(name, data[start:rest], kind):
            yield data[start:rest]
    yield data[rest:]


def _is_sound(name: bytes, chunk: bytes, kind: int) -> bool:
    """Whether a chunk of metadata says something about the image, and is not damaged."""
    body = chunk[8:-4]
    if not png.is_intact(chunk):
        return False
    if name == b"tRNS":
        return kind == _PALETTE or len(body) == _PNG_TRANSPARENCY.get(kind)
    if name == b"iCCP":
        return 0 < len(png.unpacked_profile(body)) < _PROFILE_BYTES
    return name == b"eXIf" or len(body) == _PNG_LENGTHS.get(name)


def _jpeg_parts(data: bytes) -> Iterator[bytes]:
    """Yield the segments to keep, and everything from the first scan on."""
    yield data[:2]
    rest, seen = 2, set[int]()
    for marker, start, end in segments(data):
        if marker == START_OF_SCAN:
            break
        if _is_kept(marker, data[start + 4 : end], seen):
            yield data[start:end]
        rest = end
    yield data[rest:]


def _is_kept(marker: int, body: bytes, seen: set[int]) -> bool:
    if marker == _COMMENT:
        return False
    if not 0xE0 <= marker <= 0xEF:
        return True
    start, least = _JPEG_KEPT.get(marker, (b"", 1 << 16))
    kept = body.startswith(start) and len(body) >= least
    if marker == 0xE1:  # browsers go by the first EXIF data
        kept = kept and marker not in seen
    if kept:
        seen.add(marker)
    return kept
