import struct

import numpy as np
import pytest
from helpers import encoded, load_photo
from PIL import Image

from nsfwscan import Preprocess, decode

SMALL = Preprocess(size=32)


def photoshop(image: Image.Image, layers: int | None) -> bytes:
    """Write a merged image of four channels, with this number of layers in the layer section."""
    planes = b"".join(channel.tobytes() for channel in image.split())
    section = b"" if layers is None else struct.pack(">Ihh", 4, layers, 0)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 4, image.height, image.width, 8, 3)
    return head + bytes(8) + struct.pack(">I", len(section)) + section + bytes(2) + planes


@pytest.mark.parametrize(("layers", "transparent"), [(None, False), (1, False), (-1, True)])
def test_a_saved_selection_is_not_transparency(layers: int | None, transparent: bool) -> None:
    photo = load_photo("coffee.png").resize((60, 60)).convert("RGBA")
    photo.putalpha(Image.linear_gradient("L").resize((60, 60)))
    white = Image.new("RGBA", (60, 60), "white")
    white.alpha_composite(photo)
    shown = white if transparent else photo
    found = decode(photoshop(photo, layers), SMALL).pixels[0].astype(int)
    wanted = decode(encoded(shown.convert("RGB"), "PNG"), SMALL).pixels[0]
    assert np.abs(found - wanted).max() <= 1
