from PIL import Image

from nsfwscan import limits


def test_the_pixel_limit_is_where_pillow_refuses() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert limits.MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS


def test_an_image_of_the_pixel_limit_fits_into_the_size_limit() -> None:
    assert 3 * limits.MAX_PIXELS <= limits.MAX_FILESIZE
