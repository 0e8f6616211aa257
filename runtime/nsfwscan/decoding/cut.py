"""Tell from a file's own lengths that its end is missing, where decoders call it damaged."""

from collections.abc import Iterator

_ISO_MEDIA = {"HEIF", "AVIF", "JPEG2000"}
_CODESTREAM, _END_OF_CODESTREAM = b"\xffO", b"\xff\xd9"  # ISO 15444-1, annex A


def is_cut(data: bytes, plugin: str) -> bool:
    """Whether a file is longer by what it says of itself.

    Parameters
    ----------
    data
        The bytes of the file.
    plugin
        Pillow's name of its format.
    """
    if plugin == "WEBP":
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if data.startswith(_CODESTREAM):
        return not data.endswith(_END_OF_CODESTREAM)
    return plugin in _ISO_MEDIA and any(end > len(data) for end in _box_ends(data))


def _box_ends(data: bytes) -> Iterator[int]:
    """Yield where each outer box ends (ISO/IEC 14496-12, 4.2)."""
    position = 0
    while len(head := data[position : position + 16]) >= 8:
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # 0: to the end
            return
        position += size
        yield position
