"""The allow-list: images that are flagged, and that somebody has found to be safe.

A text file with one image on each line: the SHA-256 of its bytes, the day on which it was added,
the last day on which it is allowed or ``-``, and the reason. ``#`` begins a comment::

    # sha256                                                          added      until      reason
    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  2026-11-28 -          a statue
    60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752  2026-11-28 2027-06-30 beach

Days are those of UTC, so that a list means the same on every machine.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from nsfwscan.errors import InputError
from nsfwscan.util.digest import is_digest
from nsfwscan.util.encoding import not_utf8
from nsfwscan.util.escape import UNPRINTABLE, printable
from nsfwscan.util.files import atomic_write, write_errors
from nsfwscan.util.inputs import open_input
from nsfwscan.util.lock import locked

_HEAD = f"# {'sha256':62}  added      until      reason\n"
_FOREVER = "-"
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One image that is allowed.

    Attributes
    ----------
    sha256
        Lower-case hex digest of its bytes.
    added
        The day on which somebody allowed it.
    until
        The last day on which it is allowed; None for ever.
    reason
        Why, in one line of printable text without spaces at its ends.
    """

    sha256: str
    added: date
    until: date | None
    reason: str

    @property
    def line(self) -> str:
        """The line of the file, with its end."""
        return f"{self.sha256}  {self.added} {self.until or _FOREVER!s:10} {self.reason}\n"

    def applies(self, today: date) -> bool:
        """Tell whether the image is allowed on a day."""
        return self.until is None or today <= self.until


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()


def day_of(text: str) -> date | None:
    """Return the day that ``2026-11-28`` stands for, or None for any other text."""
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:  # 2026-02-30
        return None


def reason_of(text: str) -> str | None:
    """Return a reason with single spaces, or None if it is empty or not printable."""
    reason = " ".join(text.split())
    return None if not reason or UNPRINTABLE.search(reason) else reason


def read_allow_list(path: Path) -> dict[str, Allowance]:
    """Read an allow-list: its entries by SHA-256.

    Of several lines about one image, the one that holds longest counts.

    Raises
    ------
    InputError
        If it cannot be read, or a line is none of an allow-list. The message names the line.
    """
    return _held(_lines(path), path)


def merged(path: Path, new: Iterable[Allowance]) -> tuple[str, int, int]:
    """Merge new entries into a list.

    The other lines of the file stay as they are, comments too. An entry about an image that the
    list has replaces its line, unless only the day of its addition differs; one about another image
    comes at the end, the new ones in the order of their SHA-256.

    Parameters
    ----------
    path
        The list; it may not exist yet.
    new
        The entries. Of two about one image, the last counts.

    Returns
    -------
    tuple of str, int and int
        The new text, and how many entries were added and changed.

    Raises
    ------
    InputError
        If the file cannot be read, or is no allow-list.
    """
    lines = _lines(path) if path.exists() else [_HEAD]
    held = _held(lines, path)
    entries = {one.sha256: _unless_same(one, held.get(one.sha256)) for one in new}
    text, written = "", set[str]()
    for line in lines:
        old = _parsed(line, str(path))
        if old is None or old.sha256 not in entries:
            text += line
        elif old.sha256 not in written:
            written.add(old.sha256)
            text += line if old == entries[old.sha256] else entries[old.sha256].line
    if text and not text.endswith("\n"):
        text += "\n"
    text += "".join(entries[sha256].line for sha256 in sorted(entries.keys() - written))
    changed = sum(one != entries[one.sha256] for one in held.values() if one.sha256 in entries)
    return text, len(entries.keys() - held.keys()), changed


def _unless_same(new: Allowance, old: Allowance | None) -> Allowance:
    """Return the old entry if the new one says the same on another day."""
    return new if old is None or replace(new, added=old.added) != old else old


def extend(path: Path, new: Iterable[Allowance]) -> tuple[int, int]:
    """Merge new entries into a file, as `merged` does. Another process that does so is waited for.

    Returns
    -------
    tuple of int and int
        How many entries were added and changed.

    Raises
    ------
    InputError
        If the file cannot be read, or is no allow-list. It is unchanged then.
    OutputError
        If it cannot be written.
    """
    with write_errors(path), locked(path.with_name(f".{path.name}.nsfwscan-lock"), wait=True):
        text, added, changed = merged(path, new)
        if added or changed:
            with atomic_write(path) as stream:
                stream.write(text)
    return added, changed


def _lines(path: Path) -> list[str]:
    """Give the lines with their ends; the last one may have none."""
    try:
        with open_input(path) as stream:
            text = stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no allow-list: it {not_utf8(error)}") from error
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _held(lines: Iterable[str], path: Path) -> dict[str, Allowance]:
    held: dict[str, Allowance] = {}
    for number, line in enumerate(lines, start=1):
        found = _parsed(line, f"{path}:{number}")
        if found is not None:
            held[found.sha256] = max(
                held.get(found.sha256, found), found, key=lambda one: one.until or date.max
            )
    return held


def _parsed(line: str, where: str) -> Allowance | None:
    """Read a line; None if it is empty or a comment."""
    words = line.split(maxsplit=3)
    if not words or words[0].startswith("#"):
        return None
    if len(words) < 4:
        raise InputError(
            f"{where}: expected SHA-256, day of addition, last day or -, and reason, with spaces"
            " between them"
        )
    sha256, added, until, rest = words
    if not is_digest("sha256", sha256):
        raise InputError(f"{where}: {_shown(sha256)} is no SHA-256 in 64 lower-case hex digits")
    days = [None if text == _FOREVER else day_of(text) for text in (added, until)]
    if days[0] is None:
        raise InputError(f"{where}: {_shown(added)} is no day such as 2026-11-28")
    if days[1] is None and until != _FOREVER:
        raise InputError(f"{where}: {_shown(until)} is neither a day such as 2026-11-28 nor -")
    reason = reason_of(rest)
    if reason is None:
        raise InputError(f"{where}: the reason has a character that cannot be printed; remove it")
    return Allowance(sha256=sha256, added=days[0], until=days[1], reason=reason)


def _shown(text: str) -> str:
    return repr(printable(text[:80]))
