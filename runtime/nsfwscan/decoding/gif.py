"""Tell which part of a GIF's canvas its frames have painted.

Elsewhere, browsers show what is behind the image, and Pillow a colour of the palette.
"""

from PIL import Image

_TO_BACKGROUND, _TO_PREVIOUS = 2, 3  # disposal methods (GIF89a, section 23)


class Painted:
    """The painted part of the canvas."""

    def __init__(self) -> None:
        self._mask = Image.new("L", (0, 0))
        self._next = self._mask  # before the next frame

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
            everything.
        """
        tiles = getattr(image, "tile", None)
        if not tiles:
            return None
        box = tiles[0].extents
        before = Image.new("L", image.size)
        before.paste(self._next)
        self._mask = before.copy()
        self._mask.paste(255, box)
        self._next = self._mask
        disposal = getattr(image, "disposal_method", 0)
        if disposal == _TO_PREVIOUS:
            self._next = before
        elif disposal == _TO_BACKGROUND:
            self._next = self._mask.copy()
            self._next.paste(0, box)
        return None if self._mask.getextrema() == (255, 255) else self._mask
