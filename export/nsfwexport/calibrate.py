"""Choose a model's threshold for a purpose, on labelled images outside its training data."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from nsfwexport import modelfile
from nsfwexport.errors import CalibrationError
from nsfwexport.runs import check_file, read_facts, training_facts
from nsfwscan import Classifier, Manifest, scan
from nsfwscan.dataset.labels import (
    DEFAULT_NAMES,
    HELD_OUT_FILE,
    Part,
    number_of,
    read_held_out,
    read_split,
    rows,
)
from nsfwscan.dataset.objects import object_path
from nsfwscan.decision import flags, score_of
from nsfwscan.errors import LabelError
from nsfwscan.inference.operating import OperatingPoint
from nsfwscan.reports.progress import Progress, no_progress
from nsfwscan.util.files import atomic_path

Target = Literal["fpr", "recall"]
Labelled = tuple[NDArray[np.int64], NDArray[np.floating]]
"""Labels, 0 or 1, and probabilities or their scores, both (N,)."""

_HEADER = ["path", "label"]
_ROUNDING = 1e-9  # 0.07 * 100 is slightly more than 7


@dataclass(frozen=True)
class Share:
    """A share of some images, with its exact 95 % interval (Clopper and Pearson, 1934)."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The observed share, in [0, 1]."""
        return self.count / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The limits of the true share, with a confidence of at least 95 %."""
        found = binomtest(self.count, self.total).proportion_ci(0.95, method="exact")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        """Return a text such as ``1.2% (0.3% to 3.5%; 3 of 250)``."""
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%}; {self.count:,} of {self.total:,})"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A threshold and its rates on labelled images.

    Attributes
    ----------
    threshold
        Lowest score that is flagged.
    fpr
        Share of label 0 that is flagged.
    recall
        Share of label 1 that is flagged.
    """

    threshold: float
    fpr: Share
    recall: Share

    def point(self, measured_on: str, date: str) -> OperatingPoint:
        """Return the operating point ``balanced`` of a manifest."""
        return OperatingPoint(
            threshold=self.threshold,
            name="balanced",
            recall=self.recall.value,
            false_positive_rate=self.fpr.value,
            measured_on=measured_on,
            by="nsfwexport calibrate",
            date=date,
        )


def choose(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], target: Target, value: float
) -> Choice:
    """Choose a threshold, and count what a scan with it flags.

    Parameters
    ----------
    labels
        int (N,), 0 or 1. Both occur.
    probabilities
        (N,) in [0, 1]. Their scores decide, so scores give the same.
    target
        ``fpr`` chooses the lowest threshold that flags at most `value` of label 0. ``recall``
        chooses the highest that flags at least `value` of label 1.
    value
        The target, in (0, 1).

    Raises
    ------
    CalibrationError
        If no threshold in [0, 1] meets the target.
    """
    scores = np.array([score_of(probability) for probability in probabilities.tolist()])
    zeros, ones = (np.sort(scores[labels == i]) for i in (0, 1))
    if target == "fpr":
        allowed = int(np.floor(value * len(zeros) + _ROUNDING))
        blocker = float(zeros[len(zeros) - allowed - 1])  # the highest score to leave unflagged
        if blocker >= 1:
            raise CalibrationError(
                f"too many images of label 0 have the score 1: no threshold flags a share of at "
                f"most {value:g}; check the labels"
            )
        threshold = _between(blocker, float(np.min(scores, where=scores > blocker, initial=1.0)))
    else:
        needed = max(1, int(np.ceil(value * len(ones) - _ROUNDING)))
        lowest = float(ones[len(ones) - needed])  # the lowest score that must be flagged
        threshold = _between(float(np.max(scores, where=scores < lowest, initial=0.0)), lowest)
    return Choice(
        threshold=threshold,
        fpr=Share(sum(flags(zeros.tolist(), threshold)), len(zeros)),
        recall=Share(sum(flags(ones.tolist(), threshold)), len(ones)),
    )


def _between(low: float, high: float) -> float:
    """Return the shortest decimal t near the middle with low < t <= high, or `high`."""
    middle = (low + high) / 2
    for digits in range(2, 12):
        if low < (short := round(middle, digits)) <= high:
            return short
    return high


def warnings(
    point: Choice, target: Target, value: float, labels: tuple[str, str] = DEFAULT_NAMES
) -> list[str]:
    """Return a sentence for each way in which the sample is too small for the target."""
    share = point.fpr if target == "fpr" else point.recall
    edge = share.interval[1] if target == "fpr" else share.interval[0]
    name = "false-positive rate" if target == "fpr" else "recall"
    missed = edge > value if target == "fpr" else edge < value
    found = []
    if not point.recall.count:
        found.append(f"this threshold flags no image of label 1 ({labels[1]}); relax the target")
    if point.fpr.count == point.fpr.total:
        found.append("this threshold flags every image; relax the target")
    if missed:
        found.append(
            f"on {share.total:,} images the true {name} may still be {edge:.1%}; "
            "more labelled images would narrow it"
        )
    rare = value if target == "fpr" else 1 - value
    if rare * share.total < 1:
        found.append(
            f"{share.total:,} images are too few to measure a {name} of {value:g}: one image is "
            f"{1 / share.total:.2%}"
        )
    return found


def describe(point: Choice, target: Target, value: float, where: str) -> str:
    """Describe the choice of a threshold, for the manifest."""
    wanted = (
        f"a false-positive rate of at most {value:g}"
        if target == "fpr"
        else f"a recall of at least {value:g}"
    )
    return (
        f"chosen for {wanted} on {where}: false-positive rate {point.fpr}, recall {point.recall}, "
        "with exact 95 % intervals"
    )


def read_list(path: Path) -> list[tuple[str, int]]:
    """Read a CSV of images: header ``path,label``; paths are relative to the file's folder.

    Raises
    ------
    LabelError
        If it cannot be read or understood. The message names the line.
    """
    images: dict[str, int] = {}
    lines: dict[str, int] = {}
    for line, row in rows(path, _HEADER):
        value = number_of(row[1].strip()) if len(row) == len(_HEADER) else None
        if value is None or not row[0].strip():
            got = ",".join(row)[:100]
            raise LabelError(f"{path}, line {line}: expected a path and 0 or 1, got {got!r}")
        image = os.path.normpath(path.parent / row[0])
        first = lines.setdefault(image, line)
        if first != line:
            raise LabelError(
                f"{path}, line {line}: {row[0]} is already on line {first}; delete one of the two "
                "lines"
            )
        images[image] = value
    return list(images.items())


def from_split(store: Path, split: Path, part: Part = "validation") -> list[tuple[str, int]]:
    """List the objects of one part of a split, and their labels.

    Raises
    ------
    LabelError
        If the split file cannot be read or understood.
    """
    return [
        (str(object_path(store, row.label.object_id)), row.label.value)
        for row in read_split(split)
        if row.part == part
    ]


def learned_from(manifest: Manifest) -> list[str]:
    """Return the parts of its collection that a model has learned from; empty if unknown."""
    training = manifest.training
    return training.get("head", {}).get("learned_from", ["train"]) if training else []


def check_unseen(manifest: Manifest, part: Part) -> None:
    """Check that a model has not learned from a part of its collection.

    The scores of such images are too good for the choice of a threshold. An image stays in its part
    as the collection grows, so other splits do not matter.

    Raises
    ------
    CalibrationError
        If it has.
    """
    if part in learned_from(manifest):
        raise CalibrationError(
            f"the model has learned from the part {part} of its collection; give --run with its "
            "training run, --part with another part, or other images with --labels"
        )


def held_out(manifest: Manifest, run: Path) -> Labelled:
    """Read the scores of the images that a run has held out.

    Parameters
    ----------
    manifest
        That of the model of the run.

    Raises
    ------
    CalibrationError
        If it is not, or the run has no such scores.
    NsfwScanError
        If the run cannot be read.
    """
    facts = read_facts(run)
    path = run / HELD_OUT_FILE
    if facts is None or not path.exists():
        raise CalibrationError(
            f"{run} is not a finished training run with {HELD_OUT_FILE}; train again, or give "
            "--store and --split"
        )
    training = manifest.training
    known = training_facts(facts)
    if not training or any(
        known.get(name) != value
        for name, value in training.items()
        if name != "backbone"  # a path in files of version 0.1.0; the fingerprint says the same
    ):
        raise CalibrationError(f"the model is not that of {run}; convert this run again")
    scored = read_held_out(check_file(run, HELD_OUT_FILE, facts))
    labels = [label.value for label, _ in scored]
    check_labels(labels, f"in {path}")
    # The file has the digits of float32 numbers, as a model returns them.
    return np.array(labels, np.int64), np.array([score for _, score in scored], np.float32)


def check_labels(labels: Collection[int], where: str) -> None:
    """Raise `CalibrationError` unless both labels occur."""
    for value in (0, 1):
        if value not in labels:
            raise CalibrationError(
                f"there is no image of label {value} {where}; both labels are needed"
            )


def calibrate(
    model: Path, labelled: Labelled, target: Target, value: float, where: str
) -> tuple[float, Choice, list[str]]:
    """Choose a model file's threshold on labelled images, and write it into its manifest.

    It becomes the manifest's threshold, and its operating point ``balanced``, in place of an older
    one of this name.

    Parameters
    ----------
    model
        A model file with a manifest.
    labelled
        Labels and scores. Both labels occur.
    target, value
        See `choose`.
    where
        The origin of the images, for the manifest.

    Returns
    -------
    tuple
        The threshold before, the choice, and warnings.

    Raises
    ------
    CalibrationError
        If no threshold meets the target.
    NsfwScanError
        If the model file cannot be used or written.
    """
    proto, manifest = modelfile.read(model)
    truth, scores = labelled
    point = choose(truth, scores, target, value)
    measured_on = f"{len(truth):,} images of {where}"
    balanced = point.point(measured_on, datetime.now(UTC).date().isoformat())
    others = [one for one in manifest.operating_points if one.name != balanced.name]
    changed = replace(
        manifest,
        threshold=point.threshold,
        threshold_choice=describe(point, target, value, measured_on),
        operating_points=(balanced, *others),
    )
    with atomic_path(model) as temporary:
        temporary.write_bytes(modelfile.embed(proto, changed, proven=manifest.digest is not None))
    notes = warnings(point, target, value, manifest.labels)
    if manifest.parity is not None and changed.threshold != manifest.parity.get("threshold"):
        notes.append(
            f"flips were counted at {manifest.parity.get('threshold')}; nsfwexport verify "
            "counts them at the new threshold"
        )
    return manifest.threshold, point, notes


def score(
    classifier: Classifier,
    images: Sequence[tuple[str, int]],
    progress: Progress = no_progress,
) -> Labelled:
    """Score labelled images exactly as a scan does.

    Raises
    ------
    CalibrationError
        If an image cannot be scored, or a label has no image.
    """
    labels = dict(images)
    for path in labels:
        if Path(path).is_dir():
            raise CalibrationError(f"{path} is a folder; list each image with its label")
    found: dict[str, float] = {}
    records = scan(list(labels), classifier)
    with progress("scoring", len(labels)) as advance:
        for record in records:
            if record.score is None:
                raise CalibrationError(
                    f"{record.path} has no score ({record.detail}); repair or remove it"
                )
            found[record.path] = record.score
            advance(len(found))
    for missing in labels.keys() - found.keys():
        raise CalibrationError(f"{missing} is not an image, or is listed twice; remove it")
    check_labels(labels.values(), "among them")
    return (
        np.array([labels[path] for path in found], np.int64),
        np.array(list(found.values()), np.float64),
    )
