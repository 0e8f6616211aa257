"""Which of the files in a folder are wanted: globs, ignore files, hidden files.

Patterns are in gitignore syntax. Nothing here touches the file system.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nsfwscan.errors import InputError
from nsfwscan.sources.filetype import Kind

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# A pattern is tried in all the ways in which its stars can divide a path. The first star of a name
# leaves one way; of 255 letters each further one leaves some 64 times as many: 0.06 ms with two,
# 4 ms with three, 0.2 s with four. A double star does the same to a path of a thousand names.
_WAYS = 64
_MOST_WAYS = _WAYS**2  # of one line
_MOST_WAYS_OF_A_FILE = 12 * _MOST_WAYS  # 50 ms

if TYPE_CHECKING:
    from pathspec import PathSpec, Pattern


_ESCAPED = re.compile(r"\\.", re.DOTALL)


def _compile(lines: Iterable[str]) -> "PathSpec[Pattern]":
    """Compile patterns of which the last that matches decides, as git's do within a folder.

    pathspec's `GitIgnoreSpec` is for those who ask about files alone; a walk that enters no
    folder that is out wants the plain rule.

    Raises
    ------
    ValueError
        If one of them is no pattern.
    """
    from pathspec import PathSpec  # noqa: PLC0415 - most scans have no patterns
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415 - as above

    try:
        return PathSpec.from_lines("gitignore", lines)
    except (GitIgnorePatternError, re.error) as error:
        # A bracket expression that is none, [z-a], gets as far as the compiler of those.
        raise ValueError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of the files in a folder are wanted; files that the user names always are.

    Attributes
    ----------
    glob
        Patterns in gitignore syntax, relative to the folder named. A file is wanted if the last
        one that matches has no leading ``!``; where none matches, if all of them have one.
    ignore
        Whether `IGNORE_FILE` in a folder keeps what it matches there and below out of the walk.
    hidden
        Whether entries whose name begins with a dot are wanted.
    max_depth
        How many levels are entered: 1 is the named folder's own files only. None: all.

    Raises
    ------
    InputError
        If a glob is no pattern that can match, or `max_depth` is below 1.
    """

    glob: Sequence[str] = ()
    ignore: bool = True
    hidden: bool = False
    max_depth: int | None = None
    _spec: "PathSpec[Pattern] | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the options and compile the globs."""
        if isinstance(self.glob, str):
            raise InputError(f"glob is a sequence of patterns, got the string {self.glob!r}")
        if self.max_depth is not None and self.max_depth < 1:
            raise InputError(f"max_depth must be 1 or more, got {self.max_depth}")
        for pattern in self.glob:
            try:
                usable = _compile([pattern]).patterns[0].include is not None
            except (ValueError, IndexError):
                usable = False
            if not usable:
                raise InputError(
                    f"the glob {pattern!r} matches nothing; write one like '*.jpg' or '!thumbs/'"
                )
        object.__setattr__(self, "_spec", _compile(self.glob) if self.glob else None)

    def wants(self, relative: str) -> bool:
        """Tell whether the globs want the file at a path relative to the folder named."""
        if self._spec is None:
            return True
        verdict = self._spec.check_file(relative).include
        if verdict is None:
            return all(pattern.startswith("!") for pattern in self.glob)
        return verdict

    def enters(self, relative: str) -> bool:
        """Tell whether the globs let the walk enter a folder.

        They do unless a ``!`` pattern matches it, and none comes after that wants anything.
        """
        if self._spec is None:
            return True
        found = self._spec.check_file(f"{relative}/")
        if found.include is not False or found.index is None:
            return True
        return not all(pattern.startswith("!") for pattern in self.glob[found.index :])


class Ignore:
    """The patterns of one ignore file, and where they apply."""

    def __init__(self, prefix: str, lines: Sequence[str]) -> None:
        self._prefix = prefix  # of its folder, relative to the walk's root, ending in a slash
        self._lines = lines
        self._spec = _compile(lines)

    def verdict(self, relative: str) -> bool | None:
        """Tell whether an entry is ignored; None if no pattern matches it."""
        found = self._spec.check_file(relative.removeprefix(self._prefix))
        # As in git, x/** means what is in x, one by one, and not x itself.
        if found.index is not None and relative.endswith("/"):
            return None if self._lines[found.index].rstrip().endswith("/**") else found.include
        return found.include


def _ways(line: str) -> int:
    """Say in how many ways a pattern may be tried: ignore files may be a stranger's."""
    names = _ESCAPED.sub("", line).rstrip().split("/")
    more = sum(1 if name == "**" else max(0, name.count("*") - 1) for name in names)
    return int(_WAYS**more)


def parse_ignore_file(data: bytes) -> tuple[list[str], str | None]:
    """Give the patterns of an ignore file, and a sentence on the first line that is none.

    Parameters
    ----------
    data
        The file's bytes: UTF-8, a pattern a line. Bytes that are not UTF-8 match themselves.
    """
    text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    usable, complaint, left = [], None, _MOST_WAYS_OF_A_FILE
    for number, line in enumerate(text.split("\n"), start=1):
        why = "has more stars than are matched in reasonable time"
        try:
            ways = _ways(line)
            if ways <= min(left, _MOST_WAYS):
                left -= ways
                usable += [line] if _compile([line]).patterns else []
                continue
        except ValueError:
            why = "is no pattern in gitignore syntax"
        complaint = complaint or f"line {number} {why} and was left out: {line!r}"
    return usable, complaint


def skipped(
    name: str, relative: str, *, is_folder: bool, by: Selection, ignores: tuple[Ignore, ...]
) -> Kind | None:
    """Tell as what an entry is skipped by the user's wish; None if it is wanted."""
    if name.startswith(".") and not by.hidden:
        return Kind.HIDDEN_FOLDER if is_folder else Kind.HIDDEN_FILE
    # As git has it: the nearest file that says something about the entry decides.
    asked = f"{relative}/" if is_folder else relative
    verdicts = (ignore.verdict(asked) for ignore in reversed(ignores))
    if next((verdict for verdict in verdicts if verdict is not None), False):
        return Kind.IGNORED_FOLDER if is_folder else Kind.IGNORED_FILE
    if is_folder:
        return None if by.enters(relative) else Kind.UNSELECTED_FOLDER
    return None if by.wants(relative) else Kind.UNSELECTED_FILE
