"""Import images into an object store, by the SHA-1 of their bytes, and label them."""

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from nsfwscan import ImageError, Preprocess, Selection, decode
from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import StoreError
from nsfwscan.sources.entry import Found, Problem, Skipped, problem_of
from nsfwscan.sources.filetype import (
    HEAD_BYTES,
    Kind,
    extension_of,
    kind_of,
    promised_format,
    sniff,
)
from nsfwscan.sources.walk import discover
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.tables import label_frame, read_labels, sha1s, write_table

LABEL_FILE = "label.csv"

_TRIAL = Preprocess(size=224)
"""Each image is decoded once, at the size of the smallest variant, to check that it can be."""


@dataclass(kw_only=True)
class Imported:
    """The result of an import.

    Attributes
    ----------
    added
        Number of files that are new in the store.
    present
        Number of files that the store already has under the same label.
    conflicts
        Files that the store already has under the other label. The label does not change.
    unusable
        Files that cannot be read or decoded, each with the reason. They are not imported.
    skipped
        Number of files that are not images, by kind.
    """

    added: int = 0
    present: int = 0
    conflicts: list[str] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[Kind] = field(default_factory=Counter)


def import_folder(
    folder: Path, store: Path, label: Literal[0, 1], *, link: bool = False
) -> Imported:
    """Add the images of a folder to a store, under one label.

    The label file is written atomically at the end, also when the import is interrupted. An object
    without a label does no harm: the next import labels it.

    Parameters
    ----------
    folder
        Searched recursively, as by `nsfwscan.scan`.
    store
        Created if it does not exist.
    label
        0 is decent, 1 indecent.
    link
        Hard-link the files where the file system can, instead of copying them.

    Raises
    ------
    StoreError
        If the folder does not exist, or the store cannot be written.
    LabelError
        If the store's label file is not valid.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; give a folder with images of one label")
    label_file = store / LABEL_FILE
    labels = _labels(label_file)
    hashes = sha1s(labels)
    values = dict(zip(hashes, labels["value"], strict=True))
    object_ids = dict(zip(hashes, labels["objectId"], strict=True))
    added: list[tuple[str, int]] = []
    done = Imported()
    cores = available_cores()
    take = partial(_take, store=store, link=link, object_ids=object_ids)
    found = discover([folder], Selection())
    try:
        for path, result in map_ahead(take, found, workers=cores, window=4 * cores):
            if isinstance(result, Kind):
                done.skipped[result] += 1
            elif isinstance(result, _Unusable):
                done.unusable.append((path, result.reason))
            elif (sha1 := result.partition(".")[0]) not in values:
                values[sha1] = label
                added.append((result, label))
                done.added += 1
            elif values[sha1] == label:
                done.present += 1
            else:
                done.conflicts.append(path)
    finally:
        if added:
            current = _labels(label_file)  # another import may have changed it in the meantime
            new = label_frame(added)
            new = new[~sha1s(new).isin(sha1s(current))]
            write_table(label_file, pd.concat([current, new], ignore_index=True))
    return done


def _labels(label_file: Path) -> pd.DataFrame:
    """Read a label file; return an empty frame if it does not exist."""
    return read_labels(label_file) if label_file.exists() else label_frame()


@dataclass(frozen=True, slots=True)
class _Unusable:
    reason: str


def _take(
    entry: Found, *, store: Path, link: bool, object_ids: Mapping[str, str]
) -> tuple[str, str | Kind | _Unusable]:
    """Put a file into the store if it is an image.

    Returns
    -------
    tuple
        The file's location, and one of: its object ID, the kind of a file that is not an image, the
        reason why an image is unusable.
    """
    if isinstance(entry, Skipped):
        return entry.location, entry.kind
    if isinstance(entry, Problem):
        return entry.location, _Unusable(entry.detail)
    path = Path(entry.location)
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = problem_of(entry.location, error, explicit=False)
        return entry.location, _Unusable(problem.detail)
    format_ = sniff(data[:HEAD_BYTES], path.name)
    if format_ is None and promised_format(path.name) is None:
        return entry.location, kind_of(data[:HEAD_BYTES], path.name)
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if sha1 in object_ids and _is_stored(data, object_path(store, object_ids[sha1])):
        return entry.location, object_ids[sha1]
    try:
        decode(data, _TRIAL)
    except ImageError as error:
        return entry.location, _Unusable(error.detail)
    own = extension_of(path.name)
    usual = format_.extensions if format_ is not None else (own,)
    object_id = object_ids.get(sha1) or sha1 + (own if own in usual else usual[0])
    _put(data, path if link else None, object_path(store, object_id))
    return entry.location, object_id


def _is_stored(data: bytes, path: Path) -> bool:
    """Check whether an object is intact; an import restores it if not."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _put(data: bytes, source: Path | None, target: Path) -> None:
    """Write or link an object atomically."""
    temporary = target.with_name(f".{target.name}.{threading.get_ident()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source is not None:
                temporary.hardlink_to(source)
        except OSError:
            source = None  # another file system, or a file system without links
        if source is None:
            temporary.write_bytes(data)
        temporary.replace(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):  # after a success it does not exist
            temporary.unlink()
