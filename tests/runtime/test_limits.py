import math

import pytest

from nsfwscan import limits
from nsfwscan.limits import ScanOptions


def test_a_photo_of_200_megapixels_fits_in_the_limits() -> None:
    assert limits.MAX_PIXELS >= 16_320 * 12_240
    assert 26 * limits.MAX_PIXELS <= limits.MAX_MEMORY


def test_an_image_of_the_pixel_limit_fits_in_the_size_limit() -> None:
    assert 3 * limits.MAX_PIXELS <= limits.MAX_FILESIZE


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("frames", 0, 1),
        ("views", -1, 0),
        ("batch_size", 0, 1),
        ("workers", -1, 1),
        ("threads", 0, 1),
        ("max_pixels", 0, 1),
        ("max_filesize", 0, 1),
        ("timeout", math.nan, limits.LEAST_TIMEOUT),
        ("timeout", 0.01, limits.LEAST_TIMEOUT),
        ("max_memory", 1, limits.LEAST_MEMORY),
    ],
)
def test_the_error_for_an_option_out_of_range_names_it(
    name: str, value: float, least: float
) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be {least} or more, got {value}$"):
        ScanOptions(**{name: value})  # type: ignore[arg-type]
    ScanOptions(**{name: least})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_filesize", 1e6),
        ("max_pixels", None),
        ("frames", None),
        ("workers", 2.0),
        ("threads", True),
        ("timeout", "30"),
        ("max_memory", None),
    ],
)
def test_an_option_of_another_type_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an? (integer|number), got "):
        ScanOptions(**{name: value})  # type: ignore[arg-type]
