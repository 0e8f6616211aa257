"""Label files, which give each object the label 0 or 1; a scan flags label 1.

``label.csv`` has the header ``objectId,value``; ``split_label.csv`` has ``objectId,value,type``;
``held_out.csv`` of a training run has ``objectId,value,score``. All are read as spreadsheets and
pandas save them: with commas, ``;`` or tabs, blank rows, spaces around cells, and 1.0 for 1.
"""

import csv
import math
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from nsfwscan.errors import LabelError
from nsfwscan.util.encoding import not_utf8

Part = Literal["train", "validation", "test"]

PARTS: tuple[Part, ...] = get_args(Part)
LABELS = (0, 1)
DEFAULT_NAMES = ("decent", "indecent")
"""The names of label 0 and label 1 where nobody chose others."""

LABEL_HEADER = ["objectId", "value"]
SPLIT_HEADER = [*LABEL_HEADER, "type"]
_HELD_OUT_HEADER = [*LABEL_HEADER, "score"]

HELD_OUT_FILE = "held_out.csv"
"""In a run's folder: scores of images by heads that have not learned from them."""

_NUMBERS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
"""pandas writes 0.0 and 1.0 if the column once had a missing value."""

_DELIMITERS = ",;\t"
_SHOWN = 100  # characters of a bad row in a message: one open quote makes the rest of a file a cell

_OBJECT_ID = re.compile(r"[0-9a-f]{40}\.[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Label:
    """One row of a label file: an object ID, and 0 or 1."""

    object_id: str
    value: int

    @property
    def sha1(self) -> str:
        """The hash in the object ID."""
        return self.object_id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Assigned:
    """One row of a split file: a label and its part."""

    label: Label
    part: Part


def is_object_id(text: str) -> bool:
    """Return whether a text is a SHA-1 (40 lower-case hex digits) with an extension."""
    return _OBJECT_ID.fullmatch(text) is not None


def number_of(text: str) -> int | None:
    """Return the label that a number stands for: 0 or 1, or None for any other text."""
    return _NUMBERS.get(text)


def cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each row of a CSV file, from the header on.

    The cells are separated by commas, ``;`` or tabs, whichever is most frequent in the header. Rows
    whose cells are all empty or spaces are left out, as a spreadsheet may save them below a table.
    The line is the one on which the row begins.

    Raises
    ------
    LabelError
        If the file cannot be read, is a pipe, or is not CSV in UTF-8.
    """
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            raise LabelError(
                f"{path} is a pipe or a device; save the table in a file, and name that"
            )
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(filter(str.strip, stream), "")
            stream.seek(0)
            reader = csv.reader(stream, delimiter=max(_DELIMITERS, key=header.count))
            line = 1
            for row in reader:
                if any(map(str.strip, row)):
                    yield line, row
                line = reader.line_num + 1
    except OSError as error:
        raise LabelError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} {not_utf8(error)}") from error
    except csv.Error as error:
        raise LabelError(f"{path} is not a CSV file: {error}") from error


def rows(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each row below a header, as `cells` does.

    Raises
    ------
    LabelError
        If the file cannot be read, is not CSV in UTF-8, or has a different header.
    """
    table = cells(path)
    _, found = next(table, (1, []))
    if [cell.strip() for cell in found] != list(header):
        got = ",".join(found)[:_SHOWN]
        raise LabelError(f"{path}: the first line must be {','.join(header)}, got {got}")
    yield from table


def read_labels(path: Path) -> list[Label]:
    """Read a label file.

    Raises
    ------
    LabelError
        If the file cannot be read, or if a row has no object ID, has a value other than 0 or 1, or
        repeats an object's hash. The message gives the line.
    """
    return [label for _, label, _ in _labels(path, LABEL_HEADER)]


def read_split(path: Path) -> list[Assigned]:
    """Read a split file.

    Raises
    ------
    LabelError
        As `read_labels`, or if a type is not train, validation or test.
    """
    assigned = []
    for where, label, (part,) in _labels(path, SPLIT_HEADER):
        if part not in PARTS:
            raise LabelError(f"{where}: the type must be one of {', '.join(PARTS)}, got {part!r}")
        assigned.append(Assigned(label, part))
    return assigned


def read_held_out(path: Path) -> list[tuple[Label, float]]:
    """Read the labels of images and their scores in [0, 1].

    Raises
    ------
    LabelError
        As `read_labels`, or if a score is not a number in [0, 1].
    """
    scored = []
    for where, label, (text,) in _labels(path, _HELD_OUT_HEADER):
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not 0 <= score <= 1:
            raise LabelError(f"{where}: the score must be a number from 0 to 1, got {text!r}")
        scored.append((label, score))
    return scored


def _labels(path: Path, header: Sequence[str]) -> Iterator[tuple[str, Label, list[str]]]:
    """Yield each row's file and line, its label, and the cells after the label."""
    lines: dict[str, int] = {}
    for number, cells in rows(path, header):
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            got = ",".join(cells)[:_SHOWN]
            raise LabelError(f"{where}: expected {', '.join(header)}, got {got!r}")
        object_id, text, *others = (cell.strip() for cell in cells)
        first = lines.setdefault(object_id.partition(".")[0], number)
        if first != number:
            raise LabelError(
                f"{where}: the image {object_id} repeats line {first}; keep one of the two"
            )
        if not is_object_id(object_id):
            raise LabelError(
                f"{where}: {object_id!r} is not an object ID (40 lower-case hex digits and .ext)"
            )
        value = number_of(text)
        if value is None:
            raise LabelError(f"{where}: the value must be 0 or 1, got {text!r}")
        yield where, Label(object_id, value), others
