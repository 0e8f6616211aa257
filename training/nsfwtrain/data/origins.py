"""The files that the objects of a store were imported from: ``origin.csv``, objectId and path.

The paths are for people: control characters and bytes that are not UTF-8 are escaped. Objects that
an earlier version imported have no row.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from nsfwscan.dataset.labels import rows
from nsfwscan.errors import LabelError
from nsfwscan.util.escape import printable
from nsfwtrain.data.tables import write_table

ORIGIN_FILE = "origin.csv"
_HEADER = ["objectId", "path"]


def read_origins(store: Path) -> dict[str, str]:
    """Read the absolute path of the file that each object was imported from.

    Returns
    -------
    dict
        From object ID to path; empty if the store has no ``origin.csv``.

    Raises
    ------
    LabelError
        If the file is not valid. The message gives the line.
    """
    path = store / ORIGIN_FILE
    if not path.exists():
        return {}
    origins: dict[str, str] = {}
    for number, cells in rows(path, _HEADER):
        if len(cells) != len(_HEADER):
            raise LabelError(f"{path}, line {number}: expected objectId and path, got {cells!r}")
        origins[cells[0]] = cells[1]
    return origins


def origins_of(frame: pd.DataFrame, store: Path) -> pd.Series:
    """Return the origin of each row of a label frame; empty where it is not known."""
    return frame["objectId"].map(read_origins(store)).fillna("")


def add_origins(store: Path, new: Mapping[str, str]) -> None:
    """Add absolute paths to ``origin.csv``, atomically. An object keeps the path that it has.

    Raises
    ------
    LabelError
        If the file is not valid.
    OutputError
        If it cannot be written.
    """
    current = read_origins(store)
    merged = {name: printable(path) for name, path in new.items()} | current
    if len(merged) > len(current):
        write_table(store / ORIGIN_FILE, pd.DataFrame(sorted(merged.items()), columns=_HEADER))
