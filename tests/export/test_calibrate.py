import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import RGB_PHOTOS, encoded, load_photo, mean_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nsfwexport import calibrate, modelfile
from nsfwexport.calibrate import Choice, Share, Target
from nsfwexport.errors import CalibrationError
from nsfwscan import Classifier, Manifest, Preprocess
from nsfwscan.dataset.labels import PARTS, Part
from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import LabelError
from nsfwscan.inference.operating import OperatingPoint
from nsfwscan.sources.walk import IGNORE_FILE

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


def test_a_choice_becomes_the_balanced_operating_point() -> None:
    choice = Choice(threshold=0.5, fpr=Share(10, 1000), recall=Share(90, 100))
    assert choice.point("1,100 images of a test", "2026-11-28") == OperatingPoint(
        threshold=0.5, name="balanced", recall=0.9, false_positive_rate=0.01,
        measured_on="1,100 images of a test", by="nsfwexport calibrate", date="2026-11-28",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("share", "target", "value", "expected"),
    [
        (Share(0, 50), "fpr", 0.01, ["may still be 7.1%", "too few to measure"]),
        (Share(10, 2000), "fpr", 0.01, []),
        (Share(20, 2000), "fpr", 0.01, ["may still be 1.5%"]),
        (Share(0, 400), "fpr", 0.01, []),
        (Share(0, 400), "fpr", 1 / 400, ["on 400 images the true false-positive rate may"]),
        (Share(1990, 2000), "recall", 0.99, []),
        (Share(1980, 2000), "recall", 0.99, ["2,000 images the true recall may still be 98.5%"]),
        (
            Share(50, 50), "recall", 0.99,
            [
                "the true recall may still be 92.9%; more labelled images would narrow it",
                "50 images are too few to measure a recall of 0.99: one image is 2.00%",
            ],
        ),
    ],
)  # fmt: skip
def test_small_samples_cause_warnings(
    share: Share, target: Target, value: float, expected: list[str]
) -> None:
    fpr, recall = (share, Share(9, 10)) if target == "fpr" else (Share(1, 10), share)
    point = Choice(threshold=0.5, fpr=fpr, recall=recall)
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
    for label in (0, 1):
        alone = [images[1 - label]]
        with pytest.raises(CalibrationError, match=f"no image of label {label} among them"):
            calibrate.score(model, alone)
    with pytest.raises(CalibrationError, match=r"list\.csv is not an image, or is listed twice"):
        calibrate.score(model, [*images[:2], (str(tmp_path / "list.csv"), 1)])
    (tmp_path / IGNORE_FILE).write_text("*\n")
    assert len(calibrate.score(model, images[:2])[0]) == 2


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
    point = Choice(threshold=0, fpr=Share(1000, 1000), recall=Share(1000, 1000))
    assert "this threshold flags every image; relax the target" in calibrate.warnings(
        point, "recall", 0.99
    )


def test_a_threshold_that_flags_nothing_causes_a_warning() -> None:
    point = Choice(threshold=1, fpr=Share(0, 1000), recall=Share(0, 1000))
    assert (
        "this threshold flags no image of label 1 (naked); relax the target"
        in calibrate.warnings(point, "fpr", 0.01, ("dressed", "naked"))
    )


def test_a_recall_that_every_score_reaches_has_the_threshold_zero() -> None:
    point = calibrate.choose(np.array([0, 1, 1]), np.array([0.5, 0.0, 0.9]), "recall", 0.9)
    assert (point.threshold, point.fpr.count, point.recall.count) == (0, 1, 2)


@pytest.mark.parametrize("target", ["fpr", "recall"])
def test_a_threshold_lies_between_scores_that_differ_in_the_last_digit(target: Target) -> None:
    labels, scores = np.array([0, 1]), np.array([0.123456, 0.123457])
    point = calibrate.choose(labels, scores, target, 0.5)
    assert scores[0] < point.threshold <= scores[1]
    assert len(str(point.threshold)) <= len("0.1234565")


def test_a_target_of_whole_images_is_met_exactly() -> None:
    """As floats, 0.07 * 100 and 0.55 * 100 are slightly more than 7 and 55."""
    labels, scores = np.arange(200) % 2, np.linspace(0, 0.9, 200)
    assert calibrate.choose(labels, scores, "fpr", 0.07).fpr.count == 7
    assert calibrate.choose(labels, scores, "fpr", 0.29).fpr.count == 29
    assert calibrate.choose(labels, scores, "recall", 0.55).recall.count == 55


def test_a_share_is_printed_with_its_interval_and_counts() -> None:
    assert str(Share(3, 1250)) == "0.2% (0.0% to 0.7%; 3 of 1,250)"


def object_id(number: int) -> str:
    return f"{number:040x}.png"


def test_the_objects_of_one_part_are_listed_with_their_labels(tmp_path: Path) -> None:
    rows = [(1, 0, "train"), (2, 1, "validation"), (3, 0, "test"), (4, 0, "validation")]
    lines = ["objectId,value,type", *(f"{object_id(n)},{value},{part}" for n, value, part in rows)]
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    expected = [(str(object_path(tmp_path, object_id(n))), value) for n, value in ((2, 1), (4, 0))]
    assert calibrate.from_split(tmp_path, tmp_path / "split.csv") == expected
    (other,) = calibrate.from_split(tmp_path, tmp_path / "split.csv", "test")
    assert other == (str(object_path(tmp_path, object_id(3))), 0)


@pytest.mark.parametrize(
    ("training", "learned"),
    [
        (None, ()),
        ({"epochs": 10}, ("train",)),
        ({"head": {"recipe": "study"}}, ("train",)),
        ({"head": {"learned_from": ["train", "validation"]}}, ("train", "validation")),
        ({"head": {"learned_from": []}}, ()),
    ],
)
def test_the_parts_that_a_model_has_learned_from_are_refused(
    training: dict[str, Any] | None, learned: tuple[Part, ...]
) -> None:
    manifest = Manifest(name="m", preprocess=Preprocess(size=8), training=training)
    for part in PARTS:
        if part in learned:
            with pytest.raises(CalibrationError, match=f"learned from the part {part} of"):
                calibrate.check_unseen(manifest, part)
        else:
            calibrate.check_unseen(manifest, part)


def test_the_scores_of_a_run_are_those_that_it_has_held_out(tmp_path: Path) -> None:
    facts = {"epochs": 3, "metrics": {"loss": 0.5}, "backbone": "/data/b0", "seconds": 9}
    known = {"epochs": 3, "metrics": {"loss": 0.5}, "backbone": "b0"}
    ours = Manifest(name="m", preprocess=Preprocess(size=8), training=known)
    with pytest.raises(CalibrationError, match=r"is not a finished training run with held_out"):
        calibrate.held_out(ours, tmp_path)
    rows = [(1, 0, "0.1"), (2, 1, "0.7"), (3, 1, "0.25")]
    lines = ["objectId,value,score", *(f"{object_id(n)},{value},{text}" for n, value, text in rows)]
    (tmp_path / "held_out.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(CalibrationError, match=r"is not a finished training run with held_out"):
        calibrate.held_out(ours, tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(facts))
    for backbone in ("b0", "/elsewhere/of/version/0.1.0"):
        of_run = replace(ours, training=known | {"backbone": backbone})
        labels, scores = calibrate.held_out(of_run, tmp_path)
        assert labels.tolist() == [0, 1, 1]
        assert scores.tolist() == np.array([0.1, 0.7, 0.25], np.float32).tolist()
    for training in (None, {}, known | {"epochs": 4}, {"epochs": 4}):
        with pytest.raises(CalibrationError, match="the model is not that of"):
            calibrate.held_out(replace(ours, training=training), tmp_path)
    (tmp_path / "held_out.csv").write_text("\n".join(lines[:2]) + "\n")
    with pytest.raises(CalibrationError, match=r"no image of label 1 in .*held_out\.csv"):
        calibrate.held_out(ours, tmp_path)


def test_a_model_file_gets_the_threshold_and_its_origin(tmp_path: Path) -> None:
    older = OperatingPoint(threshold=0.25, name="balanced", measured_on="others", by="somebody")
    strict = replace(older, threshold=0.9, name="strict")
    before = Manifest(
        name="m", preprocess=Preprocess(size=8), threshold=0.25, operating_points=(strict, older)
    )
    path = mean_model(tmp_path / "m.onnx", before)
    labelled = (np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9], np.float32))
    old, point, notes = calibrate.calibrate(path, labelled, "recall", 0.5, "a test")
    after = modelfile.read(path)[1]
    assert (old, point.threshold, after.threshold) == (0.25, 0.75, 0.75)
    assert after.threshold_choice == (
        "chosen for a recall of at least 0.5 on 4 images of a test: false-positive rate "
        "0.0% (0.0% to 84.2%; 0 of 2), recall 50.0% (1.3% to 98.7%; 1 of 2), with exact 95 % "
        "intervals"
    )
    assert (
        replace(
            after, threshold=0.25, threshold_choice=before.threshold_choice, digest=None,
            operating_points=before.operating_points,
        )
        == before
    )  # fmt: skip
    balanced, kept = after.operating_points
    assert kept == strict
    assert (balanced.name, balanced.threshold, balanced.by) == (
        "balanced", 0.75, "nsfwexport calibrate",
    )  # fmt: skip
    assert (balanced.recall, balanced.false_positive_rate) == (0.5, 0)
    assert balanced.measured_on == "4 images of a test"
    assert balanced.date == datetime.now(UTC).date().isoformat()
    assert not any("flips" in note for note in notes)
    calibrate.calibrate(path, labelled, "fpr", 0.5, "a test")
    choice = modelfile.read(path)[1].threshold_choice
    assert choice.startswith("chosen for a false-positive rate of at most 0.5 on 4 images of a")


def test_flips_at_another_threshold_are_to_be_counted_again(tmp_path: Path) -> None:
    labelled = (np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9], np.float32))
    for counted_at in (0.5, 0.75):
        manifest = Manifest(
            name="m", preprocess=Preprocess(size=8), parity={"threshold": counted_at}
        )
        path = mean_model(tmp_path / "m.onnx", manifest)
        notes = calibrate.calibrate(path, labelled, "recall", 0.5, "a test")[2]
        found = [note for note in notes if note.startswith(f"flips were counted at {counted_at};")]
        assert len(found) == (counted_at == 0.5)
