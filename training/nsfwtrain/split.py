"""Split a labelled collection into train, validation and test, by hash: no chance involved.

An image's place depends on the last byte of its object ID, so that it keeps it as the collection
grows; then the two evaluation sets are balanced between the labels.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nsfwscan.files import replacing
from nsfwtrain.errors import LabelError

Part = Literal["train", "validation", "test"]

PARTS: tuple[Part, ...] = ("train", "validation", "test")
LABELS = (0, 1)
_HEADER = ["objectId", "value"]

# An object ID is a SHA-1 in lower-case hex and an extension.
_OBJECT_ID = re.compile(r"[0-9a-f]{40}\.[a-z0-9]+")
_TEST_KEYS = range(25)
_VALIDATION_KEYS = range(25, 50)


@dataclass(frozen=True, slots=True)
class Label:
    """One row of a label file: an object ID, and 0 (decent) or 1 (indecent)."""

    object_id: str
    value: int


def key(object_id: str) -> int:
    """Give the number in 0-255 that decides an object's part: the last byte of its hash."""
    return int(object_id.partition(".")[0][-2:], 16)


def split(labels: Sequence[Label]) -> list[Part]:
    """Assign each row of a label file to a part.

    Keys 0-24 are test, 25-49 validation, the others train. Within test and within validation the
    label with more rows keeps its first ones, as many as the other has; the surplus goes to train.

    Parameters
    ----------
    labels
        The rows, in file order.

    Returns
    -------
    list of str
        The parts, in the same order.
    """
    parts: list[Part] = [_part(key(label.object_id)) for label in labels]
    for part in ("test", "validation"):
        rows = {
            value: [
                i for i, label in enumerate(labels) if parts[i] == part and label.value == value
            ]
            for value in LABELS
        }
        smaller = min(map(len, rows.values()))
        for positions in rows.values():
            for position in positions[smaller:]:
                parts[position] = "train"
    return parts


def _part(number: int) -> Part:
    if number in _TEST_KEYS:
        return "test"
    return "validation" if number in _VALIDATION_KEYS else "train"


def count(labels: Iterable[Label], parts: Iterable[Part]) -> dict[tuple[Part, int], int]:
    """Count the rows by part and label; every pair has its count, be it 0."""
    counts = {(part, value): 0 for part in PARTS for value in LABELS}
    for label, part in zip(labels, parts, strict=True):
        counts[part, label.value] += 1
    return counts


def read_labels(path: Path) -> list[Label]:
    """Read a label file: CSV with the header ``objectId,value``.

    Raises
    ------
    LabelError
        If it cannot be read, the header is another one, or a row does not hold an object ID and 0
        or 1, or repeats an object ID. The message names the row.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            if header != _HEADER:
                raise LabelError(
                    f"{path}: the first line must be {','.join(_HEADER)}, got {','.join(header)}"
                )
            labels, seen = [], dict[str, int]()
            for row in rows:
                label = _label(row, f"{path}, line {rows.line_num}")
                first = seen.setdefault(label.object_id, rows.line_num)
                if first != rows.line_num:
                    raise LabelError(
                        f"{path}, line {rows.line_num}: {label.object_id} stands on line {first} "
                        "already; keep one of them"
                    )
                labels.append(label)
    except OSError as error:
        raise LabelError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path} is no CSV file in UTF-8: {error}") from error
    return labels


def _label(row: list[str], where: str) -> Label:
    if len(row) != len(_HEADER):
        raise LabelError(f"{where}: expected an object ID and a value, got {','.join(row)!r}")
    object_id, value = row
    if not _OBJECT_ID.fullmatch(object_id):
        raise LabelError(
            f"{where}: {object_id!r} is no object ID: 40 lower-case hex digits and an extension"
        )
    if value not in {"0", "1"}:
        raise LabelError(f"{where}: the value must be 0 or 1, got {value!r}")
    return Label(object_id, int(value))


def write_split(path: Path, labels: Iterable[Label], parts: Iterable[Part]) -> None:
    """Write a split file: CSV with the header ``objectId,value,type``, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*_HEADER, "type"])
        for label, part in zip(labels, parts, strict=True):
            writer.writerow([label.object_id, label.value, part])
