"""Fill an object store: images by the SHA-1 of their bytes, and their labels in ``label.csv``."""

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from nsfwscan import ImageError, Preprocess, Selection, decode
from nsfwscan.dataset.labels import Label, read_labels, write_labels
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

LABEL_FILE = "label.csv"

# Whether an image decodes is learned at the size of the smallest variant.
_TRIAL = Preprocess(size=224)


@dataclass(kw_only=True)
class Imported:
    """What became of the files of an import.

    Attributes
    ----------
    added
        Files that are new in the store.
    known
        Files whose bytes and label were there already.
    conflicts
        Files whose bytes are there under the other label: left as they are.
    unusable
        Files that cannot be decoded or read, and why: left out.
    skipped
        What else was found, by kind.
    """

    added: int = 0
    known: int = 0
    conflicts: list[str] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[Kind] = field(default_factory=Counter)


def import_folder(
    folder: Path, store: Path, label: Literal[0, 1], *, link: bool = False
) -> Imported:
    """Add the images of a folder to a store, under one label.

    The labels are written at the end, whole or not at all, also when the import is interrupted;
    objects that were copied and have no label yet do no harm, and get it when it is run again.

    Parameters
    ----------
    folder
        Searched recursively, as `nsfwscan.scan` does.
    store
        Made if it does not exist.
    label
        0 is decent, 1 indecent.
    link
        Hard-link the files instead of copying them, where the file system can.

    Raises
    ------
    StoreError
        If the folder does not exist, or the store cannot be written.
    LabelError
        If the store's label file does not hold.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder; name one that holds images of one label")
    label_file = store / LABEL_FILE
    labels = read_labels(label_file) if label_file.exists() else []
    values = {row.sha1: row.value for row in labels}
    done = Imported()
    cores = available_cores()
    take = partial(_take, store=store, link=link, known={row.sha1: row.object_id for row in labels})
    found = discover([folder], Selection())
    try:
        for path, result in map_ahead(take, found, workers=cores, window=4 * cores):
            if isinstance(result, Kind):
                done.skipped[result] += 1
            elif isinstance(result, str):
                done.unusable.append((path, result))
            elif result.sha1 not in values:
                values[result.sha1] = label
                labels.append(Label(result.object_id, label))
                done.added += 1
            elif values[result.sha1] == label:
                done.known += 1
            else:
                done.conflicts.append(path)
    finally:
        if done.added:
            # Another import may have written since.
            there = read_labels(label_file) if label_file.exists() else []
            known = {row.sha1 for row in there}
            write_labels(label_file, [*there, *(row for row in labels if row.sha1 not in known)])
    return done


@dataclass(frozen=True, slots=True)
class _Taken:
    object_id: str
    sha1: str


def _take(
    entry: Found, *, store: Path, link: bool, known: Mapping[str, str]
) -> tuple[str, _Taken | Kind | str]:
    """Put one file into the store, if it is an image; else say what it is or what is wrong."""
    if isinstance(entry, Skipped):
        return entry.location, entry.kind
    if isinstance(entry, Problem):
        return entry.location, entry.detail
    path = Path(entry.location)
    try:
        data = path.read_bytes()
    except OSError as error:
        return entry.location, problem_of(entry.location, error, explicit=False).detail
    format_ = sniff(data[:HEAD_BYTES], path.name)
    if format_ is None and promised_format(path.name) is None:
        return entry.location, kind_of(data[:HEAD_BYTES], path.name)
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if sha1 in known and _is_there(data, object_path(store, known[sha1])):
        return entry.location, _Taken(known[sha1], sha1)
    try:
        decode(data, _TRIAL)
    except ImageError as error:
        return entry.location, error.detail
    own = extension_of(path.name)
    usual = format_.extensions if format_ is not None else (own,)
    object_id = known.get(sha1) or sha1 + (own if own in usual else usual[0])
    _put(data, path if link else None, object_path(store, object_id))
    return entry.location, _Taken(object_id, sha1)


def _is_there(data: bytes, path: Path) -> bool:
    """Tell whether an object is as it should be; an import puts back what is not."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _put(data: bytes, source: Path | None, target: Path) -> None:
    """Bring an object to its place: whole, or not at all."""
    atomic_path = target.with_name(f".{target.name}.{threading.get_ident()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source is not None:
                atomic_path.hardlink_to(source)
        except OSError:
            source = None  # another file system, or one without links
        if source is None:
            atomic_path.write_bytes(data)
        atomic_path.replace(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):  # it is gone already, if all went well
            atomic_path.unlink()
