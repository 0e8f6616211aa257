"""The names of label 0 and label 1, which a store keeps in ``labels.json``.

The file is ``{"labels": ["safe", "indecent"]}``. A store without it has the names `DEFAULT_NAMES`.
"""

import json
from pathlib import Path

from nsfwscan.dataset.labels import DEFAULT_NAMES, LABELS, number_of
from nsfwscan.errors import LabelError, StoreError
from nsfwscan.util.encoding import not_utf8
from nsfwscan.util.escape import UNPRINTABLE, to_json
from nsfwscan.util.files import atomic_write

NAMES_FILE = "labels.json"

Names = tuple[str, str]
"""The names of label 0 and label 1."""

_LONGEST = 60  # characters


def parse_names(text: str) -> Names:
    """Read two names that are separated by a comma.

    Raises
    ------
    LabelError
        If they are not two names as `check_names` requires.
    """
    return check_names([name.strip() for name in text.split(",")], "--labels")


def check_names(names: list[str], where: str) -> Names:
    """Return two valid names.

    Raises
    ------
    LabelError
        If they are not two different names of 1 to 60 printable characters without a comma, or one
        of the names is 0 or 1.
    """
    if len(names) != len(LABELS):
        raise LabelError(
            f"{where}: expected the names of label 0 and label 1, for example safe,indecent, "
            f"got {','.join(names)!r}"
        )
    for name in names:
        if not 1 <= len(name) <= _LONGEST or number_of(name) is not None or name != name.strip():
            raise LabelError(
                f"{where}: a name is a word of 1 to {_LONGEST} characters, not 0 or 1, got {name!r}"
            )
        if "," in name or UNPRINTABLE.search(name):
            raise LabelError(f"{where}: a name has no comma and no control character, got {name!r}")
    if names[0] == names[1]:
        raise LabelError(f"{where}: the two names must be different, got {names[0]!r} twice")
    return names[0], names[1]


def stored_names(store: Path) -> Names | None:
    """Read the names in a store's ``labels.json``; return None if there is no such file.

    Raises
    ------
    LabelError
        If the file cannot be read or is not valid.
    """
    path = store / NAMES_FILE
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LabelError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} {not_utf8(error)}") from error
    except ValueError as error:
        raise LabelError(f"{path} is not JSON in UTF-8: {error}") from error
    match found:
        case {"labels": [str(zero), str(one)]}:
            return check_names([zero, one], str(path))
    raise LabelError(f'{path}: expected {{"labels": [name of label 0, name of label 1]}}')


def read_names(store: Path) -> Names:
    """Return the names of a store's labels. Errors are those of `stored_names`."""
    return stored_names(store) or DEFAULT_NAMES


def choose_names(store: Path, given: Names | None) -> Names | None:
    """Return the names of a new import: those given, or those of the store, if there are any.

    Raises
    ------
    LabelError
        If the store has other names than those given, or an invalid ``labels.json``.
    """
    stored = stored_names(store)
    if given and stored and given != stored:
        raise LabelError(
            f"the labels of {store} are {','.join(stored)}, not {','.join(given)}; use another "
            "store, or leave out --labels"
        )
    return given or stored


def write_names(store: Path, names: Names) -> None:
    """Write the names of a store's labels.

    Parameters
    ----------
    store
        Created if it does not exist.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {store}: {error.strerror}") from error
    with atomic_write(store / NAMES_FILE) as stream:
        stream.write(to_json({"labels": names}) + "\n")


def value_of(word: str, names: Names) -> int | None:
    """Return the label that a word stands for: 0, 1 or a name.

    Case matters only for names that differ in nothing else. An unknown word gives None.
    """
    if (number := number_of(word)) is not None:
        return number
    for spelling in (str, str.casefold):
        words = list(map(spelling, names))
        if words.count(spelling(word)) == 1:
            return words.index(spelling(word))
    return None


def label_of(word: str, names: Names | None, where: str) -> int:
    """Return the label that a word stands for, as `value_of`.

    Parameters
    ----------
    names
        None if nobody chose names: `DEFAULT_NAMES`.
    where
        Origin of the word, for the message.

    Raises
    ------
    LabelError
        If the word is unknown.
    """
    value = value_of(word, names or DEFAULT_NAMES)
    if value is None:
        zero, one = names or DEFAULT_NAMES
        fix = "" if names else "; give the names of label 0 and label 1 with --labels"
        raise LabelError(f"{where}: the label must be 0, 1, {zero} or {one}, got {word!r}{fix}")
    return value
