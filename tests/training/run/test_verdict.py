from typing import Any

import pytest

from nsfwtrain.run.verdict import summary, verdict


def metrics(right: int, images: int, *, ones: int | None = None) -> dict[str, Any]:
    """Make the metrics of a test part; all mistakes are on label 1."""
    ones = images // 2 if ones is None else ones
    wrong = images - right
    return {
        "images": images,
        "accuracy": right / images,
        "accuracy_95_low": 0.1,
        "accuracy_95_high": 0.9,
        "loss": 0.5,
        "loss_95_low": 0.4,
        "loss_95_high": 0.6,
        "confusion": [[images - ones, 0], [wrong, ones - wrong]],
    }


ESTIMATE = {
    "images": 60, "folds": 5, "repeats": 5, "independent": 50,
    "accuracy": 0.9, "accuracy_95_low": 0.8, "accuracy_95_high": 0.95,
    "loss": 0.3, "loss_95_low": 0.2, "loss_95_high": 0.4,
}  # fmt: skip


FACTS = {"options": {"recipe": "converged"}}


def test_a_model_near_chance_is_named_as_such_with_what_to_do() -> None:
    said = verdict(metrics(52, 100), None)
    assert said.startswith(
        "The model is not shown to be better than always giving the more frequent label: accuracy "
        "0.520 instead of 0.500, +0.020, on the 100 test images (p = 0.38); look for wrong labels"
    )
    assert "nsfwtrain audit" in said


@pytest.mark.parametrize(("right", "shown"), [(90, "p < 0.001"), (61, "p = 0.018")])
def test_a_better_model_is_named_as_such(right: int, shown: str) -> None:
    said = verdict(metrics(right, 100), None)
    assert said.startswith("The model is better than always giving the more frequent label")
    assert said.endswith(f"on the 100 test images ({shown})")


def test_an_accuracy_is_compared_with_the_share_of_the_more_frequent_label() -> None:
    assert "not shown" in verdict(metrics(90, 100, ones=12), None)
    assert "instead of 0.880" in verdict(metrics(90, 100, ones=12), None)


def test_a_small_test_part_leaves_the_answer_to_the_cross_validation() -> None:
    assert "not shown" in verdict(metrics(4, 6), None)
    said = verdict(metrics(4, 6), ESTIMATE)
    assert said.startswith("The model is better than always giving the more frequent label")
    assert "0.900 instead of 0.500, +0.400, on 60 images, cross-validated (p < 0.001)" in said


def test_a_run_ends_with_its_numbers_and_their_intervals() -> None:
    test, cross, last = summary(FACTS | {"metrics": metrics(4, 6), "estimate": ESTIMATE})
    assert test == (
        "test: loss 0.5000 (0.4000 to 0.6000), accuracy 0.6667 (0.1000 to 0.9000) on 6 images"
    )
    assert cross == (
        "cross-validation: loss 0.3000 (0.2000 to 0.4000), accuracy 0.9000 (0.8000 to 0.9500) on "
        "all 60 images, 5 times in 5 folds"
    )
    assert last == verdict(metrics(4, 6), ESTIMATE)
    assert len(summary(FACTS | {"metrics": metrics(4, 6)})) == 2


def test_a_study_near_chance_is_advised_to_converge() -> None:
    facts = {"options": {"recipe": "study"}, "metrics": metrics(52, 100)}
    assert "(p = 0.38); train with --recipe converged; if that does not" in summary(facts)[-1]
