"""Split a labelled collection into train, validation and test, by hash alone.

The last byte of its object ID decides an image's part, so that the image keeps it as the collection
grows. The two evaluation parts are then balanced between the labels.
"""

import pandas as pd

from nsfwscan.dataset.labels import LABEL_HEADER, LABELS, PARTS
from nsfwtrain.data.tables import PART, sha1s

_FIRST_KEY = {"test": 0, "validation": 25, "train": 50}
"""The first of the keys 0-255 of each part."""


def keys(frame: pd.DataFrame) -> pd.Series:
    """Give each row's key, 0-255: the last byte of the hash in its object ID."""
    return sha1s(frame).str[-2:].map(lambda digits: int(digits, 16)).astype("int64")


def split(labels: pd.DataFrame, previous: pd.DataFrame | None = None) -> pd.DataFrame:
    """Assign each row of a label frame to a part.

    Keys 0-24 are test, 25-49 validation, the others train. Within test and within validation, the
    label with more rows keeps as many as the other has: the first in file order. The surplus goes
    to train.

    Parameters
    ----------
    labels
        A label frame, see `nsfwtrain.data.tables`.
    previous
        An earlier split frame. A row that was in an evaluation part is then kept there first, and
        a row that was in another part enters one last, so that as few rows change their part as the
        balance allows.

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
    frame.loc[(frame["type"] != "train") & (position >= quota), "type"] = "train"
    return frame


def _parts_before(frame: pd.DataFrame, previous: pd.DataFrame) -> pd.Series:
    """Give the part of each row in an earlier split; missing where that does not have the row."""
    return frame["objectId"].map(previous.set_index("objectId")["type"].astype("str"))


def balance(split: pd.DataFrame) -> pd.DataFrame:
    """Count the rows by part (the index) and label (the columns); a missing pair counts 0."""
    counted = split.groupby(["type", "value"], observed=True).size().unstack(fill_value=0)
    return counted.reindex(index=PARTS, columns=LABELS, fill_value=0)


def moved(split: pd.DataFrame, previous: pd.DataFrame) -> int:
    """Count the rows that an earlier split has in another part."""
    before = _parts_before(split, previous)
    return int((before.notna() & (before != split["type"].astype("str"))).sum())
