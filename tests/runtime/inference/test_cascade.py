import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.inference.cascade import Cascade, log_odds

SCORES = st.integers(0, 10**6).map(lambda millionths: millionths / 10**6)


@given(SCORES, SCORES, st.floats(0.01, 5))
def test_the_interval_covers_what_lies_within_the_band(
    score: float, threshold: float, band: float
) -> None:
    low, high = Cascade(model="a" * 64, band=band).interval([threshold])
    assert 0 <= low < high <= 1
    distance = abs(log_odds(score) - log_odds(threshold))
    assert (low <= score <= high) == (distance <= band) or math.isclose(distance, band)


def test_the_interval_of_the_default_threshold() -> None:
    """0.327 has log-odds of -0.722."""
    low, high = Cascade(model="a" * 64, band=1.5).interval([0.327])
    assert low == pytest.approx(0.0978, abs=1e-4)
    assert high == pytest.approx(0.6853, abs=1e-4)


def test_of_two_thresholds_the_interval_covers_all_between() -> None:
    cascade = Cascade(model="a" * 64, band=1.0)
    assert cascade.interval([0.2, 0.8]) == (
        cascade.interval([0.2])[0],
        cascade.interval([0.8])[1],
    )


@pytest.mark.parametrize("band", [0, -1, math.inf, math.nan])
def test_a_band_out_of_range_is_refused(band: float) -> None:
    with pytest.raises(ValueError, match=r"cascade\.band must be a finite number above 0"):
        Cascade(model="a" * 64, band=band)


def test_a_model_that_is_no_digest_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cascade\.model must be a SHA-256"):
        Cascade(model="open_nsfw", band=1.0)
