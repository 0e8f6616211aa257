"""The names of label 0 and label 1, which a store keeps in ``labels.json``.

The file is ``{"labels": ["safe", "indecent"]}``. A store without it has the names `DEFAULT_NAMES`.
"""

import json
from pathlib import Path

from nsfwscan.dataset.labels import DEFAULT_NAMES, LABELS
from nsfwscan.errors import LabelError, OutputError, StoreError
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
        if not 1 <= len(name) <= _LONGEST or name in {"0", "1"} or name != name.strip():
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
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabelError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise LabelError(f"{path} is not JSON in UTF-8: {error}") from error
    match found:
        case {"labels": [str(zero), str(one)]}:
            return check_names([zero, one], str(path))
    raise LabelError(f'{path}: expected {{"labels": [name of label 0, name of label 1]}}')


def read_names(store: Path) -> Names:
    """Return the names of a store's labels. Errors are those of `stored_names`."""
    return stored_names(store) or DEFAULT_NAMES


def keep_names(store: Path, names: Names) -> None:
    """Write the names of a store's labels, unless it has them.

    Parameters
    ----------
    store
        Created if it does not exist.

    Raises
    ------
    LabelError
        If the store has other names, or an invalid ``labels.json``.
    StoreError
        If the file cannot be written.
    """
    stored = stored_names(store)
    if stored == names:
        return
    if stored is not None:
        raise LabelError(
            f"the labels of {store} are {','.join(stored)}, not {','.join(names)}; use another "
            f"store, or leave out --labels"
        )
    try:
        store.mkdir(parents=True, exist_ok=True)
        with atomic_write(store / NAMES_FILE) as stream:
            stream.write(to_json({"labels": names}) + "\n")
    except OSError as error:
        raise StoreError(f"cannot write {store / NAMES_FILE}: {error.strerror}") from error
    except OutputError as error:
        raise StoreError(str(error)) from error


def value_of(word: str, names: Names) -> int | None:
    """Return the label that a word stands for: 0, 1 or a name.

    Case matters only for names that differ in nothing else. An unknown word gives None.
    """
    for spelling in (str, str.casefold):
        words = ["0", "1", *map(spelling, names)]
        if words.count(spelling(word)) == 1:
            return words.index(spelling(word)) % 2
    return None
