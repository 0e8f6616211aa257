"""Read and write label files and split files as data frames.

A label frame has the columns of ``label.csv``: ``objectId`` (str) and ``value`` (int64; 0 or 1). A
split frame also has ``type``, a categorical of train, validation and test. The rows keep the order
of the file.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nsfwscan.dataset import labels
from nsfwscan.dataset.labels import LABEL_HEADER, PARTS, SPLIT_HEADER
from nsfwscan.util.files import atomic_write

PART = pd.CategoricalDtype(list(PARTS))


def label_frame(rows: Iterable[tuple[str, int]] = ()) -> pd.DataFrame:
    """Build a label frame from object IDs and labels."""
    frame = pd.DataFrame(list(rows), columns=LABEL_HEADER)
    return frame.astype({"objectId": "str", "value": np.int64})


def split_frame(rows: Iterable[tuple[str, int, str]] = ()) -> pd.DataFrame:
    """Build a split frame from object IDs, labels and parts."""
    frame = pd.DataFrame(list(rows), columns=SPLIT_HEADER)
    return frame.astype({"objectId": "str", "value": np.int64, "type": PART})


def read_labels(path: Path) -> pd.DataFrame:
    """Read a label file.

    Raises
    ------
    LabelError
        If the file is not valid. The message gives the line.
    """
    return label_frame((row.object_id, row.value) for row in labels.read_labels(path))


def read_split(path: Path) -> pd.DataFrame:
    """Read a split file. Errors are those of `read_labels`."""
    return split_frame(
        (row.label.object_id, row.label.value, row.part) for row in labels.read_split(path)
    )


def write_table(path: Path, frame: pd.DataFrame, *, float_format: str | None = None) -> None:
    """Write a frame as CSV, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_write(path) as stream:
        frame.to_csv(stream, index=False, lineterminator="\n", float_format=float_format)


def sha1s(frame: pd.DataFrame) -> pd.Series:
    """Return the hashes in the object IDs: 40 hex digits."""
    return frame["objectId"].str[:40]


def targets(frame: pd.DataFrame) -> NDArray[np.float32]:
    """Return the labels as float32 (N,), 0 or 1."""
    return frame["value"].to_numpy(np.float32)


def by_hash(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in hash order: by ascending object ID."""
    return frame.sort_values("objectId", ignore_index=True)


def is_by_hash(frame: pd.DataFrame) -> bool:
    """Check whether the rows of each label are in hash order, which is a random order of images."""
    return all(rows.is_monotonic_increasing for _, rows in frame.groupby("value")["objectId"])
