import pytest

from nsfwscan import Preprocess
from nsfwscan.decoding.parameters import MAX_SIZE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size must be 1 to 4096, got 0"),
        ({"size": 5000}, "size must be"),
        ({"size": 224, "resize": 200}, "resize must be from size"),
        ({"size": 224, "jpeg_draft_margin": 0}, "jpeg_draft_margin must be 1 or more"),
        (
            {"size": 224, "revision": 0},
            "has the revisions 1 to .*, got 0; a newer",
        ),
        ({"size": 224, "revision": 99}, "got 99"),
    ],
)
def test_parameters_out_of_range_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess(**values)  # type: ignore[arg-type]


def test_the_target_is_the_size_before_the_crop() -> None:
    assert Preprocess(size=224).target == 224
    assert Preprocess(size=224, resize=256).target == 256
    assert Preprocess(size=MAX_SIZE).target == MAX_SIZE


def test_stored_parameters_can_have_former_names() -> None:
    assert Preprocess.from_facts({"size": 8, "draft_margin": None}) == Preprocess(
        size=8, jpeg_draft_margin=None, revision=1
    )


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="has no field crop, gamma; a newer version"):
        Preprocess.from_facts({"size": 8, "gamma": 2.2, "crop": 0.9})
