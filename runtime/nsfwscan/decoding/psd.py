"""Read what Pillow does not say about Photoshop files."""

import struct


def has_transparency(data: bytes) -> bool:
    """Whether the fourth channel of the merged image is its transparency, not a saved selection.

    A negative number of layers says so (Adobe Photoshop File Formats Specification, layer info).
    """
    position = 26
    try:
        for _section in ("colour mode", "image resources"):
            (size,) = struct.unpack_from(">I", data, position)
            position += 4 + size
        section, layers, count = struct.unpack_from(">IIh", data, position)
    except struct.error:
        return False
    return bool(section and layers and count < 0)
