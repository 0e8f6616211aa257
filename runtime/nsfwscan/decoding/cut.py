"""Tell from a file's own lengths that its end is missing, where decoders call it damaged."""

from nsfwscan.decoding.boxes import boxes
from nsfwscan.decoding.tiff import is_short

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
    if plugin == "TIFF":
        return is_short(data)
    return plugin in _ISO_MEDIA and any(end > len(data) for _, _, end in boxes(data))
