import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import Manifest, Preprocess
from nsfwscan.inference.operating import OperatingPoint

shares = st.floats(0, 1)


def point(**facts: object) -> OperatingPoint:
    return OperatingPoint(**{"threshold": 0.5, "measured_on": "x", "by": "y"} | facts)  # type: ignore[arg-type]


def test_the_precision_is_the_share_of_a_count() -> None:
    """Of 1,000 images 100 are indecent: 90 of them and 45 of the others are flagged."""
    found = point(recall=0.9, false_positive_rate=0.05).precision(0.1)
    assert found == pytest.approx(90 / (90 + 45))


@given(shares, shares, shares)
def test_a_precision_is_a_share_or_unknown(recall: float, rate: float, prevalence: float) -> None:
    found = point(recall=recall, false_positive_rate=rate).precision(prevalence)
    assert found is None or 0 <= found <= 1


def test_without_a_rate_the_precision_is_unknown() -> None:
    assert point(recall=0.9).precision(0.1) is None
    assert point(false_positive_rate=0.1).precision(0.1) is None
    assert point(recall=0.0, false_positive_rate=0.0).precision(0.1) is None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"threshold": 1.1}, "threshold must be in"),
        ({"recall": -0.1}, "recall must be in"),
        ({"false_positive_rate": 2.0}, "false_positive_rate must be in"),
        ({"date": "October"}, "date must be such as 2026-10-31"),
        ({"date": "2026-13"}, "date must be such as 2026-10-31"),
        ({"date": "2026-02-30"}, "date must be such as 2026-10-31"),
    ],
)
def test_wrong_facts_are_refused(facts: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        point(**facts)


def test_a_name_chooses_one_threshold() -> None:
    points = point(threshold=0.9, name="strict"), point(threshold=0.4), point(threshold=0.3)
    manifest = Manifest(name="m", preprocess=Preprocess(size=8), operating_points=points)
    assert manifest.threshold_named("strict") == 0.9
    with pytest.raises(ValueError, match=r"has no threshold called 'balanced'.*it has strict"):
        manifest.threshold_named("balanced")
    with pytest.raises(ValueError, match="two operating points have the same name"):
        Manifest(name="m", preprocess=Preprocess(size=8), operating_points=points[:1] * 2)


def test_names_are_in_the_order_of_their_thresholds() -> None:
    points = point(threshold=0.2, name="strict"), point(threshold=0.4, name="sensitive")
    with pytest.raises(ValueError, match="must rise from sensitive to balanced to strict"):
        Manifest(name="m", preprocess=Preprocess(size=8), operating_points=points)
