from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import RGB_PHOTOS, encoded, load_photo, mean_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nsfwexport import calibrate
from nsfwexport.calibrate import OperatingPoint, Share, Target
from nsfwexport.errors import CalibrationError
from nsfwscan import Classifier, Manifest, Preprocess
from nsfwscan.errors import LabelError

SCORES = hnp.arrays(np.float64, 40, elements=st.integers(0, 35).map(lambda n: n * 25_001 / 1e6))
LABELS = np.arange(40) % 2


@given(SCORES, st.floats(0.01, 0.99))
def test_the_lowest_threshold_within_a_false_positive_rate_is_chosen(
    scores: np.ndarray[Any, np.dtype[np.float64]], value: float
) -> None:
    point = calibrate.choose(LABELS, scores, "fpr", value)
    zeros = scores[LABELS == 0]
    assert np.mean(zeros >= point.threshold) == point.fpr.value <= value + 1e-9
    lower = max((s for s in scores if s < point.threshold), default=None)
    if lower is not None:
        assert np.mean(zeros >= lower) > value or lower not in zeros


@given(SCORES, st.floats(0.01, 0.99))
def test_the_highest_threshold_that_reaches_a_recall_is_chosen(
    scores: np.ndarray[Any, np.dtype[np.float64]], value: float
) -> None:
    point = calibrate.choose(LABELS, scores, "recall", value)
    ones = scores[LABELS == 1]
    assert np.mean(ones >= point.threshold) == point.recall.value >= value - 1e-9
    lowest = min(s for s in ones if s >= point.threshold)
    assert np.mean(ones > lowest) < value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_threshold_is_chosen_among_the_scores_of_a_scan(dtype: type[np.floating[Any]]) -> None:
    """As float32, 0.7 is less than the threshold 0.7, which then seems to leave it unflagged."""
    labels, scores = np.array([0, 0, 1]), np.array([0.1, 0.7, 0.704], dtype)
    point = calibrate.choose(labels, scores, "fpr", 0.4)
    assert (point.threshold, point.fpr.count, point.recall.count) == (0.702, 0, 1)
    point = calibrate.choose(labels, scores, "recall", 0.9)
    assert (point.threshold, point.fpr.count, point.recall.count) == (0.702, 0, 1)


@given(hnp.arrays(np.float32, 40, elements=st.floats(0, 0.875, width=32)), st.floats(0.01, 0.99))
def test_the_counts_are_those_of_a_scan(
    probabilities: np.ndarray[Any, np.dtype[np.float32]], value: float
) -> None:
    point = calibrate.choose(LABELS, probabilities, "fpr", value)
    flagged = np.array([round(float(p), 6) >= point.threshold for p in probabilities])
    assert point.fpr.count == flagged[LABELS == 0].sum()
    assert point.recall.count == flagged[LABELS == 1].sum()
    assert point.fpr.value <= value + 1e-9


def test_thresholds_are_short_numbers() -> None:
    scores = np.array([0.1234567, 0.91, 0.2345678, 0.95], np.float32)
    point = calibrate.choose(np.array([0, 1, 0, 1]), scores, "fpr", 0.01)
    assert point.threshold == 0.57


def test_an_unreachable_rate_is_an_error() -> None:
    labels, scores = np.array([0, 1]), np.array([1, 1], np.float32)
    with pytest.raises(CalibrationError, match="too many images of label 0 have the score 1"):
        calibrate.choose(labels, scores, "fpr", 0.01)


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    """Compare with the closed forms at the ends, and with a published value in between."""
    assert Share(0, 100).interval == pytest.approx((0, 1 - 0.025 ** (1 / 100)))
    assert Share(100, 100).interval == pytest.approx((0.025 ** (1 / 100), 1))
    assert Share(10, 100).interval == pytest.approx((0.0490, 0.1762), abs=1e-4)


def test_precision_follows_bayes_rule() -> None:
    point = OperatingPoint(threshold=0.5, fpr=Share(10, 1000), recall=Share(90, 100))
    flagged_right, flagged_wrong = 0.9 * 100, 0.01 * 9900
    assert point.precision(0.01) == pytest.approx(flagged_right / (flagged_right + flagged_wrong))
    nothing = OperatingPoint(threshold=1, fpr=Share(0, 10), recall=Share(0, 10))
    assert np.isnan(nothing.precision(0.01))


@pytest.mark.parametrize(
    ("fpr", "target", "value", "expected"),
    [
        (Share(0, 50), "fpr", 0.01, ["may still be 7.1%", "too few to measure"]),
        (Share(10, 2000), "fpr", 0.01, []),
        (Share(20, 2000), "fpr", 0.01, ["may still be 1.5%"]),
    ],
)
def test_small_samples_cause_warnings(
    fpr: Share, target: Target, value: float, expected: list[str]
) -> None:
    point = OperatingPoint(threshold=0.5, fpr=fpr, recall=Share(9, 10))
    warned = calibrate.warnings(point, target, value)
    assert len(warned) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, warned, strict=True))


def test_listed_images_are_scored_and_must_have_a_score(tmp_path: Path) -> None:
    model = Classifier.load(
        mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    )
    listed = ["path,label"]
    for i, name in enumerate(RGB_PHOTOS):
        (tmp_path / f"{i}.png").write_bytes(encoded(load_photo(name), "PNG"))
        listed.append(f"{i}.png,{i % 2}")
    (tmp_path / "list.csv").write_text("\n".join(listed) + "\n")
    images = calibrate.read_list(tmp_path / "list.csv")
    labels, scores = calibrate.score(model, images)
    assert labels.tolist() == [0, 1, 0, 1, 0]
    assert len(set(scores.tolist())) == 5
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(CalibrationError, match=r"3\.png has no score .* repair or remove it"):
        calibrate.score(model, images)
    with pytest.raises(CalibrationError, match="no image of label 1"):
        calibrate.score(model, images[:1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "the first line must be path,label, got a,b"),
        ("path,label\nx.png,2\n", "line 2: expected a path and 0 or 1, got 'x.png,2'"),
        ("path,label\nx.png\n", "line 2: expected a path and 0 or 1"),
        ("path,label\n\n ,1\n", "line 3: expected a path and 0 or 1"),
        ("path,label\nx.png,1\n./x.png,0\n", r"line 3: \./x\.png is already on line 2"),
    ],
)
def test_an_invalid_list_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(LabelError, match=message):
        calibrate.read_list(tmp_path / "list.csv")
    with pytest.raises(LabelError, match="cannot read"):
        calibrate.read_list(tmp_path / "gone.csv")


def test_a_list_is_read_as_people_save_it(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"path;label\r\na b.png ;1 \r\n;\r\n\r\nc.png;0.0\r\n\r\n")
    expected = [(str(tmp_path / "a b.png "), 1), (str(tmp_path / "c.png"), 0)]
    assert calibrate.read_list(tmp_path / "list.csv") == expected


def test_a_folder_is_refused_and_a_tiny_recall_flags_one_image(tmp_path: Path) -> None:
    model = Classifier.load(
        mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    )
    with pytest.raises(CalibrationError, match="is a folder; list each image"):
        calibrate.score(model, [(str(tmp_path), 0)])
    labels, scores = np.array([0, 1]), np.array([0.5, 0.75], np.float32)
    assert calibrate.choose(labels, scores, "recall", 1e-12).recall.count == 1


def test_a_threshold_that_flags_everything_causes_a_warning() -> None:
    point = OperatingPoint(threshold=0, fpr=Share(1000, 1000), recall=Share(1000, 1000))
    assert "this threshold flags every image; relax the target" in calibrate.warnings(
        point, "recall", 0.99
    )


def test_a_threshold_that_flags_nothing_causes_a_warning() -> None:
    point = OperatingPoint(threshold=1, fpr=Share(0, 1000), recall=Share(0, 1000))
    assert (
        "this threshold flags none of the indecent images; relax the target"
        in calibrate.warnings(point, "fpr", 0.01)
    )
