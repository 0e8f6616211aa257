import numpy as np
import pytest

from nsfwscan import DecodedImage


def test_a_decoded_image_is_immutable() -> None:
    image = DecodedImage(np.zeros((1, 8, 8, 3), np.uint8), width=30, height=20, format="PNG")
    with pytest.raises(AttributeError):
        image.width = 31  # type: ignore[misc]
