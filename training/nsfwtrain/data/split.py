"""Split a labelled collection into train, validation and test, by hash alone.

The last byte of the hash in its object ID decides the part of an image, so that the image stays in
its part as the collection grows. Then the labels are balanced in validation and in test.
"""

from pathlib import Path

import pandas as pd

from nsfwscan.dataset.labels import LABEL_HEADER, LABELS, PARTS
from nsfwscan.errors import LabelError
from nsfwtrain.data.tables import PART, read_split, sha1s

_FIRST_KEY = {"test": 0, "validation": 25, "train": 50}
"""The first key of each part; keys are 0-255."""


def keys(frame: pd.DataFrame) -> pd.Series:
    """Return the key of each row, 0-255: the last byte of the hash in its object ID."""
    return sha1s(frame).str[-2:].map(lambda digits: int(digits, 16)).astype("int64")


def split(labels: pd.DataFrame, previous: pd.DataFrame | None = None) -> pd.DataFrame:
    """Assign each row of a label frame to a part.

    Keys 0-24 are test, 25-49 validation, the others train. Within test and within validation, the
    larger label keeps as many rows as the smaller has: the first in file order. The surplus goes to
    train.

    Parameters
    ----------
    labels
        A label frame, see `nsfwtrain.data.tables`.
    previous
        An earlier split frame. Test and validation then keep their earlier rows first, and take
        rows of other parts last, so that as few rows as possible change their part.

    Returns
    -------
    pandas.DataFrame
        A split frame, in the order of `labels`.
    """
    frame = labels[LABEL_HEADER].reset_index(drop=True)
    parts = pd.cut(keys(frame), [*_FIRST_KEY.values(), 256], right=False, labels=list(_FIRST_KEY))
    frame["type"] = parts.astype(PART)
    if previous is None:
        in_order = frame
    else:
        before = _parts_before(frame, previous)
        rank = 2 - before.isna() - 2 * (before == frame["type"].astype("str"))
        in_order = frame.loc[rank.sort_values(kind="stable").index]
    position = in_order.groupby(["type", "value"], observed=True).cumcount().sort_index()
    quota = frame["type"].astype("str").map(balance(frame).min(axis="columns"))
    quota = quota.astype("int64")  # without rows they would be strings
    frame.loc[(frame["type"] != "train") & (position >= quota), "type"] = "train"
    return frame


def _parts_before(frame: pd.DataFrame, previous: pd.DataFrame) -> pd.Series:
    """Return the part of each row in an earlier split; missing if the row is not in it."""
    return frame["objectId"].map(previous.set_index("objectId")["type"].astype("str"))


def balance(split: pd.DataFrame) -> pd.DataFrame:
    """Count the rows by part (the index) and label (the columns)."""
    counted = split.groupby(["type", "value"], observed=True).size().unstack(fill_value=0)
    return counted.reindex(index=PARTS, columns=LABELS, fill_value=0)


def moved(split: pd.DataFrame, previous: pd.DataFrame) -> int:
    """Count the rows that are in another part than in an earlier split."""
    before = _parts_before(split, previous)
    return int((before.notna() & (before != split["type"].astype("str"))).sum())


def check_parts(assigned: pd.DataFrame) -> None:
    """Check that a split can train and evaluate a classifier.

    Each part needs an image of either label, and train needs two.

    Raises
    ------
    LabelError
        If a part has too few images of a label. The message gives the counts and the fix.
    """
    lacking = _lacking(assigned)
    if not lacking:
        return
    totals = balance(assigned).sum()
    for value in LABELS:
        if totals[value] == 0 and totals.sum():
            raise LabelError(
                f"all {totals.sum():,} images have label {1 - value}; add images of label {value}"
            )
    fewer = " and ".join(f"label {value}" for value in LABELS if totals[value] == totals.min())
    again = f"add images of {fewer} and split again"
    if not _lacking(split(assigned)):
        again = "split the collection again"
    raise LabelError(
        f"too few images to train and evaluate: {', '.join(lacking)}; each part needs 1 of either "
        f"label and train 2, and there are {_counted(totals)} in all; {again}"
    )


def read_usable_split(path: Path) -> pd.DataFrame:
    """Read a split file for a training.

    Raises
    ------
    LabelError
        If it is not valid, or fails `check_parts`.
    """
    split = read_split(path)
    check_parts(split)
    return split


def _lacking(split: pd.DataFrame) -> list[str]:
    """List the parts that have too few images of a label, with their numbers."""
    return [
        f"{part} has {_counted(counts)}"
        for part, counts in balance(split).iterrows()
        if counts.min() < (2 if part == "train" else 1)
    ]


def _counted(counts: pd.Series) -> str:
    return " and ".join(f"{counts[value]:,} of label {value}" for value in LABELS)
