import numpy as np
import pytest

from nsfwscan import Picture


def test_a_picture_is_what_it_is() -> None:
    picture = Picture(np.zeros((1, 8, 8, 3), np.uint8), width=30, height=20, format="PNG")
    with pytest.raises(AttributeError):
        picture.width = 31  # type: ignore[misc]
