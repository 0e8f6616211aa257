"""Read the records of an earlier scan: the reports in JSON Lines, in JSON and in Parquet."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from nsfwscan.errors import InputError, Reason
from nsfwscan.record import FIELDS, Record
from nsfwscan.util.digest import is_digest
from nsfwscan.util.inputs import open_input

_NEEDED = frozenset(field.name for field in fields(Record) if field.default is MISSING)
_REASONS = frozenset[str](Reason)


def read_results(path: Path, say: Callable[[str], None]) -> Iterator[Record]:
    """Read the records of a report.

    JSON Lines and Parquet are read piece by piece, so that their number does not matter. Records of
    older and newer versions are read alike: what this version does not know is left out.

    Parameters
    ----------
    path
        A report in the format ``jsonl``, ``json`` or ``parquet``. The last needs the extra
        ``parquet``.
    say
        Called with a sentence about a last line that a killed scan has left incomplete. That
        line is skipped.

    Yields
    ------
    Record
        In the order of the report.

    Raises
    ------
    InputError
        If the file cannot be read, or is not such a report. The message names the line.
    """
    with open_input(path) as stream:
        if is_parquet(stream):
            from nsfwscan.reports.parquet import read_rows  # noqa: PLC0415 - pyarrow is optional

            for number, row in enumerate(read_rows(stream, path), start=1):
                yield _record(row, f"{path}, record {number}")
            return
        yield from _records(stream, path, say)


def is_parquet(stream: BufferedReader) -> bool:
    """Tell whether an open file is Parquet, without reading on."""
    return stream.peek(4)[:4] == b"PAR1"


def _records(stream: BinaryIO, path: Path, say: Callable[[str], None]) -> Iterator[Record]:
    first = next(stream, b"")
    if first.lstrip().startswith(b"["):
        for number, value in enumerate(_array(first + stream.read(), path), start=1):
            yield _record(value, f"{path}, record {number}")
        return
    for number, line in enumerate(chain([first], stream), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if number > 1 and not line.endswith(b"\n"):
                say(
                    f"{path} ends within line {number}, as after an interrupted scan; it is skipped"
                )
                return
            raise _not_a_report(f"{path}, line {number}") from error
        yield _record(value, f"{path}, line {number}")


def _array(data: bytes, path: Path) -> Iterable[Any]:
    try:
        found: list[Any] = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _not_a_report(str(path)) from error
    return found


def _not_a_report(where: str) -> InputError:
    return InputError(
        f"{where}: this is no record of a scan; pass what nsfwscan --format jsonl has written"
    )


def _record(value: Any, where: str) -> Record:
    if not isinstance(value, dict) or not value.keys() >= _NEEDED:
        raise _not_a_report(where)
    given = {name: value[name] for name in FIELDS if name in value}
    reason = given["reason"]
    if isinstance(reason, str):
        known = reason in _REASONS
        given["reason"] = Reason(reason) if known else None
        if not known:  # the word of a newer version stays readable in the sentence
            given["detail"] = f"{reason}: {given['detail']}"
    for name, content in given.items():
        if not _is_valid(name, content, given):
            raise InputError(f"{where}: the field {name} has the invalid value {content!r:.100}")
    return Record(**given)


_WORDS: dict[str, tuple[str | None, ...]] = {
    "status": ("safe", "flagged", "error"),
    "precision": (None, "reduced", "full"),
}


def _is_valid(name: str, content: Any, given: dict[str, Any]) -> bool:
    match name:
        case "status" | "precision":
            return content in _WORDS[name]
        case "score" if given["status"] == "error":
            return content is None
        case "score" | "threshold":
            return _is_probability(content)
        case "sha256" | "sha1":
            return content is None or is_digest(name, content)
        case "schema" | "frames" | "views":
            return _is_count(content)
        case "width" | "height" | "frame" | "total_frames":
            return content is None or _is_count(content)
        case "cached" | "uncertain":
            return isinstance(content, bool)
        case "path" | "model" | "device":
            return _is_text(content)
    return content is None or (_are_classes if name == "classes" else _is_text)(content)


def _is_text(content: Any) -> bool:
    return isinstance(content, str)


def _are_classes(content: Any) -> bool:
    return isinstance(content, dict) and all(map(_is_probability, content.values()))


def _is_probability(content: Any) -> bool:
    return type(content) in {int, float} and 0 <= content <= 1


def _is_count(content: Any) -> bool:
    return type(content) is int and content >= 0
