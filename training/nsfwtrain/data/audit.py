"""Find problems of a store and a split that would spoil a training run."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from nsfwscan import ImageError
from nsfwscan.dataset.labels import LABEL_HEADER, PARTS, SPLIT_HEADER, is_object_id, rows
from nsfwscan.dataset.objects import object_path
from nsfwscan.decoding.similarity import NEAR
from nsfwscan.reports.progress import Progress, no_progress
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.names import read_names
from nsfwtrain.data.origins import read_origins
from nsfwtrain.data.similarity import difference_hash, near_pairs
from nsfwtrain.data.store import LABEL_FILE
from nsfwtrain.data.tables import read_labels, read_split

PROBLEMS = {
    "malformed": "malformed rows",
    "wrong_value": "rows with a wrong value or type",
    "repeated": "repeated rows",
    "missing": "missing objects",
    "renamed": "objects whose bytes are not those of their ID",
    "undecodable": "undecodable images",
    "conflicting": "near-duplicates with different labels",
    "straddling": "near-duplicates with the same label in different parts of the split",
}
"""The kinds of problem in the order of the report, each with its heading."""

_AGAIN = "then split it again into a new file, with --previous and the old split"
ADVICE = {
    "conflicting": (
        "look at both images of each pair: correct the wrong label in {labels}, or delete both "
        f"rows there if no label is right; {_AGAIN}"
    ),
    "straddling": (
        "the classifier would be tested on what it has learned from: delete the row of the first "
        f"image of each pair from {{labels}}; {_AGAIN}"
    ),
}
"""What to do about the problems of a kind; ``{labels}`` stands for the label file."""


def audit(
    store: Path,
    split_file: Path | None = None,
    *,
    distance: int = NEAR,
    progress: Progress = no_progress,
) -> pd.DataFrame:
    """Find the problems of a store, its label file and, if one is given, a split.

    Parameters
    ----------
    split_file
        Without a split, only near-duplicates with different labels matter.
    distance
        Largest number of bits, 0 to 64, by which the hashes of near-duplicates differ.

    Returns
    -------
    pandas.DataFrame
        A row for each problem: ``problem`` (a key of `PROBLEMS`), ``objectId`` (the first cell of a
        malformed row; the first of two near-duplicates) and ``detail`` (a line to print, with
        the origin of the object if the store knows it). The first of two near-duplicates in
        different parts is the one to remove: that of train, or else of validation.

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
    results = map_ahead(check, sorted(ids), workers=cores, window=4 * cores)
    with closing(results), progress("checking objects", len(ids)) as advance:
        for number, (object_id, result) in enumerate(results, 1):
            if isinstance(result, int):
                hashes[object_id] = result
            else:
                problem, detail = result
                problems.append((problem, object_id, detail))
            advance(number)
    origins = read_origins(store)
    problems = [
        (problem, name, detail + (f" (from {origins[name]})" if name in origins else ""))
        for problem, name, detail in problems
    ]
    if not in_rows:
        near = _near_duplicates(store, split_file, hashes, distance, origins, progress)
        problems += sorted(near, key=lambda row: list(PROBLEMS).index(row[0]))
    return pd.DataFrame(problems, columns=["problem", "objectId", "detail"])


def _near_duplicates(
    store: Path,
    split_file: Path | None,
    hashes: Mapping[str, int],
    distance: int,
    origins: Mapping[str, str],
    progress: Progress,
) -> Iterator[tuple[str, str, str]]:
    """Yield problem, object ID and detail of each pair that has two labels or is in two parts."""
    if split_file is None:
        frame = read_labels(store / LABEL_FILE).assign(type="train")
    else:
        frame = read_split(split_file)
    frame = frame[frame["objectId"].isin(hashes)]
    frame = frame.sort_values("type", kind="stable")  # train, validation, test
    names = read_names(store)
    ids, labels, parts = (frame[name].tolist() for name in ("objectId", "value", "type"))

    def shown(i: int) -> str:
        facts = [f"label {labels[i]} ({names[labels[i]]})"]
        facts += [] if split_file is None else [parts[i]]
        facts += [f"from {origins[ids[i]]}"] if ids[i] in origins else []
        return f"{ids[i]}: {', '.join(facts)}"

    values = np.array([hashes[name] for name in ids], np.uint64)
    for block in near_pairs(values, distance, progress):
        for i, j, bits in zip(*(column.tolist() for column in block), strict=True):
            detail = f"{shown(i)}; {shown(j)}; they differ in {bits} of 64 bits"
            if labels[i] != labels[j]:
                yield "conflicting", ids[i], detail
            elif parts[i] != parts[j]:
                yield "straddling", ids[i], detail


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
