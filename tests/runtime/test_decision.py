from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.decision import flags, is_flagged, score_of


@given(st.floats(0, 1, width=32))
def test_a_score_is_the_nearest_number_of_six_decimals(probability: float) -> None:
    score = score_of(probability)
    assert float(f"{score:.6f}") == score
    assert abs(Fraction(probability) - Fraction(f"{score:.6f}")) <= Fraction(1, 2_000_000)


def test_the_rounded_score_decides() -> None:
    assert flags([0.4999998, 0.4999994, 0.5], 0.5) == [True, False, True]
    assert is_flagged(0.5, 0.5)
    assert not is_flagged(0.499999, 0.5)
    assert flags([float("nan")], 0.0) == [False]
