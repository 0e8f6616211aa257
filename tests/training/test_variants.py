import pytest

from nsfwtrain.errors import VariantError
from nsfwtrain.variants import VARIANTS, Variant, by_name

WITH_THE_HEAD = {
    "b0": 4_050_845,
    "b1": 6_576_513,
    "b2": 7_769_971,
    "b3": 10_785_065,
    "b4": 17_675_609,
    "b5": 28_515_569,
    "b6": 40_962_441,
    "b7": 64_100_241,
}


def test_there_are_eight_variants() -> None:
    assert [row.name for row in VARIANTS] == list(WITH_THE_HEAD)


@pytest.mark.parametrize("row", VARIANTS, ids=lambda row: row.name)
def test_a_head_has_a_weight_for_each_feature_and_a_bias(row: Variant) -> None:
    assert row.parameters == WITH_THE_HEAD[row.name]
    assert row.handle.endswith(f"/efficientnet/{row.name}/feature-vector/1")


def test_variants_are_found_by_name() -> None:
    assert by_name("B3") is VARIANTS[3]
    with pytest.raises(VariantError, match="there is no variant 'b8'; there are b0, b1"):
        by_name("b8")
