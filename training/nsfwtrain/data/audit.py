"""Find problems of a store and a split that would spoil a training run."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from nsfwscan import ImageError
from nsfwscan.dataset.labels import LABEL_HEADER, PARTS, SPLIT_HEADER, is_object_id, rows
from nsfwscan.dataset.objects import object_path
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.origins import read_origins
from nsfwtrain.data.similarity import NEAR, difference_hash, straddling
from nsfwtrain.data.store import LABEL_FILE
from nsfwtrain.data.tables import read_split

PROBLEMS = {
    "malformed": "malformed rows",
    "wrong_value": "rows with a wrong value or type",
    "repeated": "repeated rows",
    "missing": "missing objects",
    "renamed": "objects whose bytes are not those of their ID",
    "undecodable": "undecodable images",
    "straddling": "near-duplicates in different parts of the split",
}
"""The kinds of problem in the order of the report, each with its heading."""


def audit(store: Path, split_file: Path | None = None, *, distance: int = NEAR) -> pd.DataFrame:
    """Find the problems of a store, its label file and, if one is given, a split.

    Parameters
    ----------
    split_file
        Without a split, near-duplicates are not searched: they matter only in different parts.
    distance
        Largest number of bits, 0 to 64, by which the hashes of near-duplicates differ.

    Returns
    -------
    pandas.DataFrame
        A row for each problem: ``problem`` (a key of `PROBLEMS`), ``objectId`` (the first cell of a
        malformed row; the first of two near-duplicates) and ``detail`` (a line to print, with
        the origin of the object if the store knows it).

    Raises
    ------
    LabelError
        If a file is not CSV or has a wrong header, or ``origin.csv`` is not valid.
    """
    files = {store / LABEL_FILE: LABEL_HEADER}
    if split_file is not None:
        files[split_file] = SPLIT_HEADER
    checked = [row for path, header in files.items() for row in _check_rows(path, header)]
    problems = [row for row in checked if row[0]]
    ids = {object_id for problem, object_id, _ in checked if problem != "malformed"}
    in_rows = bool(problems)
    cores = available_cores()
    hashes: dict[str, int] = {}
    check = partial(_check_object, store)
    for object_id, result in map_ahead(check, sorted(ids), workers=cores, window=4 * cores):
        if isinstance(result, int):
            hashes[object_id] = result
        else:
            problem, detail = result
            problems.append((problem, object_id, detail))
    origins = read_origins(store)
    problems = [
        (problem, name, detail + (f" (from {origins[name]})" if name in origins else ""))
        for problem, name, detail in problems
    ]
    if split_file is not None and not in_rows:
        parts = read_split(split_file).set_index("objectId")["type"].to_dict()
        assigned = [(name, parts[name], value) for name, value in hashes.items() if name in parts]
        shown = {
            name: f"{name} ({part}{f', from {origins[name]}' if name in origins else ''})"
            for name, part in parts.items()
        }
        problems += [
            ("straddling", a, f"{shown[a]} and {shown[b]} differ in {bits} of 64 bits")
            for a, b, bits in straddling(assigned, distance)
        ]
    return pd.DataFrame(problems, columns=["problem", "objectId", "detail"])


def _check_rows(path: Path, header: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield problem, object ID and detail of each row; a correct row has an empty problem."""
    seen: set[str] = set()
    for number, cells in rows(path, header):
        object_id = cells[0] if cells else ""
        where = f"{path}, line {number}: {','.join(cells)}"
        if len(cells) != len(header) or not is_object_id(object_id):
            yield "malformed", object_id, where
            continue
        if cells[1] not in {"0", "1"} or cells[2:] not in ([], *([part] for part in PARTS)):
            yield "wrong_value", object_id, where
        sha1 = object_id.partition(".")[0]
        yield "repeated" if sha1 in seen else "", object_id, where
        seen.add(sha1)


def _check_object(store: Path, object_id: str) -> tuple[str, int | tuple[str, str]]:
    """Return an object's ID, and its perceptual hash or its problem and the detail."""
    path = object_path(store, object_id)
    try:
        data = path.read_bytes()
    except OSError as error:
        return object_id, ("missing", f"{object_id}: {path}: {error.strerror}")
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != object_id.partition(".")[0]:
        return object_id, ("renamed", f"{object_id}: its bytes have another hash")
    try:
        return object_id, difference_hash(data)
    except ImageError as error:
        return object_id, ("undecodable", f"{object_id}: {error.detail}")
