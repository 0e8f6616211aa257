"""Select the entries of a folder: globs, ignore files, hidden files.

Patterns have gitignore syntax. This module does not access the file system.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nsfwscan.errors import InputError
from nsfwscan.sources.filetype import Kind

if TYPE_CHECKING:
    from pathspec import PathSpec, Pattern

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Ignore files are untrusted. Matching a pattern tries all ways in which its stars can divide a
# path. In a name of 255 letters, each star after the first multiplies the ways by about 64: two
# stars take 0.06 ms, three take 4 ms, four take 0.2 s. A double star in a path of a thousand names
# has the same effect.
_WAYS_PER_STAR = 64
_MAX_WAYS = _WAYS_PER_STAR**2  # per line
_MAX_WAYS_OF_A_FILE = 12 * _MAX_WAYS  # 50 ms

_MOST_ALTERNATIVES = 1000

_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_COMMA = re.compile(r"(?<!\\),")

_ESCAPED = re.compile(r"\\.", re.DOTALL)


def _compile(lines: Iterable[str]) -> "PathSpec[Pattern]":
    """Compile patterns. The last matching pattern decides, as in git within one folder.

    pathspec's `GitIgnoreSpec` also applies the patterns of folders to the files below them. A walk
    does not need this, because it does not enter an excluded folder.

    Raises
    ------
    ValueError
        If a line is not a pattern.
    """
    from pathspec import PathSpec  # noqa: PLC0415 - most scans have no patterns
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415 - as above

    try:
        return PathSpec.from_lines("gitignore", lines)
    except (GitIgnorePatternError, re.error) as error:  # re raises for [z-a]
        raise ValueError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The files below a folder to scan. Explicit files are always scanned.

    Attributes
    ----------
    glob
        Patterns in gitignore syntax, relative to the given folder; ``{a,b}`` stands for either. The
        last matching pattern decides. A pattern selects files, or excludes them if it begins with
        ``!``. A file that matches no pattern is selected only if all patterns exclude.
    ignore
        Whether ignore files apply. Each applies to its folder and the folders below it.
    hidden
        Whether to select entries whose name begins with a dot.
    follow
        Whether to follow symbolic links to files and folders. What a link leads to is found once.
    max_depth
        Number of levels to enter. 1: only the files directly in the given folder. None: all.

    Raises
    ------
    InputError
        If a glob cannot match, or `max_depth` is below 1.
    """

    glob: Sequence[str] = ()
    ignore: bool = True
    hidden: bool = False
    follow: bool = False
    max_depth: int | None = None
    _patterns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _spec: "PathSpec[Pattern] | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the options and compile the globs."""
        if isinstance(self.glob, str):
            raise InputError(f"glob must be a sequence of patterns, got the string {self.glob!r}")
        if self.max_depth is not None and self.max_depth < 1:
            raise InputError(f"max_depth must be 1 or more, got {self.max_depth}")
        patterns = tuple(one for pattern in self.glob for one in _alternatives(pattern))
        for pattern in patterns:
            try:
                usable = _compile([pattern]).patterns[0].include is not None
            except (ValueError, IndexError):
                usable = False
            if not usable or _leads_nowhere(pattern):
                raise InputError(
                    f"the glob {pattern!r} matches nothing; globs are relative to the scanned "
                    "folder: write one like '*.jpg' or '!thumbs/'"
                )
        object.__setattr__(self, "_patterns", patterns)
        object.__setattr__(self, "_spec", _compile(patterns) if patterns else None)

    def wants(self, relative: str) -> bool:
        """Return whether the globs select the file at a path relative to the given folder."""
        if self._spec is None:
            return True
        match = self._spec.check_file(relative).include
        return _excludes_only(self._patterns) if match is None else match

    def enters(self, relative: str) -> bool:
        """Return whether the walk enters a folder.

        It enters unless a ``!`` pattern matches the folder and all later patterns exclude too.
        """
        if self._spec is None:
            return True
        match = self._spec.check_file(f"{relative}/")
        if match.include is not False or match.index is None:
            return True
        return not _excludes_only(self._patterns[match.index :])


def _leads_nowhere(pattern: str) -> bool:
    """Whether a pattern has a name that no path below a folder has: ``.``, ``..`` or none."""
    first, *names = pattern.removeprefix("!").rstrip("/").split("/")
    return first in {".", ".."} or not {"", ".", ".."}.isdisjoint(names)


def _alternatives(pattern: str) -> list[str]:
    """Expand the braces of a glob, as a shell does. A backslash makes a brace literal.

    Raises
    ------
    InputError
        If a brace lacks its other one, or the braces stand for too many patterns.
    """
    done, left = list[str](), [pattern]
    while left:
        one = left.pop(0)
        start = None
        for found in _BRACE.finditer(one):
            if found[0] == "{":
                start = found.start()
            elif found[0] == "}" and start is not None:
                choices = _COMMA.split(one[start + 1 : found.start()])
                left[:0] = [one[:start] + choice + one[found.end() :] for choice in choices]
                break
        else:
            if any(found[0] in "{}" for found in _BRACE.finditer(one)):
                raise InputError(f"the glob {pattern!r} has a brace without its other one")
            # Only the first character of the whole glob excludes.
            is_literal = one.startswith("!") and not pattern.startswith("!")
            done.append(f"\\{one}" if is_literal else one)
        if len(done) + len(left) > _MOST_ALTERNATIVES:
            raise InputError(f"the braces of the glob {pattern!r} stand for too many patterns")
    return list(dict.fromkeys(done))


def _excludes_only(patterns: Sequence[str]) -> bool:
    return all(pattern.startswith("!") for pattern in patterns)


class Ignore:
    """The patterns of one ignore file.

    Parameters
    ----------
    prefix
        Path of the file's folder relative to the root of the walk, with a final slash. Empty for
        the root itself.
    lines
        The patterns, as `parse_ignore_file` returns them.
    """

    def __init__(self, prefix: str, lines: Sequence[str]) -> None:
        self._prefix = prefix
        self._lines = lines
        self._spec = _compile(lines)

    def match(self, relative: str) -> bool | None:
        """Return whether the last matching pattern excludes an entry; None without a match."""
        found = self._spec.check_file(relative.removeprefix(self._prefix))
        # As in git, x/** matches the entries of x, but not x itself.
        if found.index is not None and relative.endswith("/"):
            return None if self._lines[found.index].rstrip().endswith("/**") else found.include
        return found.include


def _ways(line: str) -> int:
    """Estimate the number of ways in which a pattern can divide a path."""
    names = _ESCAPED.sub("", line).rstrip().split("/")
    stars = sum(1 if name == "**" else max(0, name.count("*") - 1) for name in names)
    return int(_WAYS_PER_STAR**stars)


def parse_ignore_file(data: bytes) -> tuple[list[str], str | None]:
    """Return the patterns of an ignore file, and a sentence about the first unusable line.

    Parameters
    ----------
    data
        The file's bytes: UTF-8, one pattern per line. Bytes that are not UTF-8 match themselves.
    """
    text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    usable, complaint, left = [], None, _MAX_WAYS_OF_A_FILE
    for number, line in enumerate(text.split("\n"), start=1):
        why = "has too many stars to match in reasonable time"
        try:
            ways = _ways(line)
            if ways <= min(left, _MAX_WAYS):
                left -= ways
                usable += [line] if _compile([line]).patterns else []
                continue
        except ValueError:
            why = "is not a pattern in gitignore syntax"
        complaint = complaint or f"line {number} {why} and is ignored: {line!r}"
    return usable, complaint


def skipped(
    name: str, relative: str, *, is_folder: bool, by: Selection, ignores: tuple[Ignore, ...]
) -> Kind | None:
    """Return the kind of a skipped entry; None if the selection includes the entry."""
    if name.startswith(".") and not by.hidden:
        return Kind.HIDDEN_FOLDER if is_folder else Kind.HIDDEN_FILE
    # As in git, the nearest ignore file with a matching pattern decides.
    path = f"{relative}/" if is_folder else relative
    matches = (ignore.match(path) for ignore in reversed(ignores))
    if next((match for match in matches if match is not None), False):
        return Kind.IGNORED_FOLDER if is_folder else Kind.IGNORED_FILE
    if is_folder:
        return None if by.enters(relative) else Kind.UNSELECTED_FOLDER
    return None if by.wants(relative) else Kind.UNSELECTED_FILE
