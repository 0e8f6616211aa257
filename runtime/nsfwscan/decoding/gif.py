"""Tell which part of a GIF's canvas its frames have painted.

Elsewhere, browsers show what is behind the image, and Pillow a colour of the palette.
"""

import re

from PIL import Image

_KEEP, _TO_BACKGROUND, _TO_PREVIOUS = 1, 2, 3  # disposal methods (GIF89a, section 23)
_DISPOSING = re.compile(rb"!\xf9\x04[\x08-\x1f]")
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_TABLE = 0x80  # a flag: a table of colours follows
_CONTROL_EXTENSION = bytes([_EXTENSION, _CONTROL, 4, _KEEP << 2, 0, 0, 0, 0])


def with_disposals(data: bytes) -> bytes:
    """Return a GIF in which every frame that says no disposal method says that it is kept.

    Pillow repeats the method of an earlier frame.
    """
    if not _DISPOSING.search(data):
        return data
    parts, done, is_controlled = [], 0, False
    position = 13 + _table_bytes(data[10:11])
    while position < len(data):
        kind = data[position]
        if kind == _EXTENSION:
            flags = position + 3
            if data[position + 1 : flags] == bytes([_CONTROL, 4]) and data[flags:]:
                is_controlled = True
                if not data[flags] & 0x1C:
                    parts += [data[done:flags], bytes([data[flags] | _KEEP << 2])]
                    done = flags + 1
            position += 2
        elif kind == _IMAGE:
            if not is_controlled:
                parts += [data[done:position], _CONTROL_EXTENSION]
                done = position
            is_controlled = False
            position += 11 + _table_bytes(data[position + 9 : position + 10])
        else:
            break
        while data[position : position + 1] not in {b"", b"\0"}:
            position += 1 + data[position]
        position += 1
    return b"".join([*parts, data[done:]])


def _table_bytes(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & _TABLE else 0


class Painted:
    """The painted part of the canvas."""

    def __init__(self) -> None:
        self._next: Image.Image | None = Image.new("L", (0, 0))  # before the next frame
        self._frames = 0

    def add(self, image: Image.Image) -> Image.Image | None:
        """Add a frame.

        Parameters
        ----------
        image
            A GIF at its next frame, not loaded.

        Returns
        -------
        PIL.Image.Image or None
            Mode L, 255 where this or an earlier frame has painted. None if they have painted
            everything, or the image was loaded or at another frame, so that nothing is known.
        """
        tiles = getattr(image, "tile", None)
        if not tiles or self._next is None or image.tell() != self._frames:
            self._next = None
            return None
        self._frames += 1
        box = tiles[0].extents
        before = Image.new("L", image.size)
        before.paste(self._next)
        mask = before.copy()
        mask.paste(255, box)
        self._next = mask
        disposal = getattr(image, "disposal_method", 0)
        if disposal == _TO_PREVIOUS:
            self._next = before
        elif disposal == _TO_BACKGROUND:
            self._next = mask.copy()
            self._next.paste(0, box)
        return None if mask.getextrema() == (255, 255) else mask
