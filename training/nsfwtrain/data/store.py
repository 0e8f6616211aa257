"""Import images into an object store, by the SHA-1 of their bytes, and label them."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import StoreError
from nsfwscan.reports.progress import Progress, Total, no_progress
from nsfwscan.sources.entry import Found, Problem, Skipped, problem_of
from nsfwscan.sources.filetype import (
    HEAD_BYTES,
    Kind,
    extension_of,
    kind_of,
    promised_format,
    sniff,
)
from nsfwscan.util.files import check_outputs, temporary_folder
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.files import Labelled, files_of_folder
from nsfwtrain.data.lock import held
from nsfwtrain.data.names import NAMES_FILE, Names, choose_names, read_names, write_names
from nsfwtrain.data.origins import ORIGIN_FILE, add_origins, read_origins
from nsfwtrain.data.tables import (
    by_hash,
    is_by_hash,
    label_frame,
    read_labels,
    sha1s,
    write_table,
)

LABEL_FILE = "label.csv"

_TRIAL = Preprocess(size=224)
"""Each image is decoded once, at the size of the smallest variant, to check that it can be."""


@dataclass(kw_only=True)
class Imported:
    """The result of an import.

    Attributes
    ----------
    new
        Number of files that are new in the store, by label.
    present
        Number of files that the store already has under the same label.
    conflicts
        Files that the store already has under the other label, each with where that came from.
    relabelled
        Number of those whose label was changed.
    unusable
        Files that cannot be read or decoded, each with the reason. They are not imported.
    skipped
        Number of files that are not images, by kind.
    """

    new: Counter[int] = field(default_factory=Counter)
    present: int = 0
    relabelled: int = 0
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[Kind] = field(default_factory=Counter)

    @property
    def added(self) -> int:
        """The number of files that are new in the store."""
        return self.new.total()

    @property
    def images(self) -> int:
        """The number of images that were found, usable or not."""
        return self.added + self.present + len(self.conflicts) + len(self.unusable)


def import_folder(folder: Path, store: Path, label: int, *, link: bool = False) -> Imported:
    """Add the images of a folder to a store, under one label. See `import_files`.

    Raises
    ------
    StoreError
        If the folder does not exist, or as `import_files`.
    FolderError, LabelError
        As `import_files`.
    """
    return import_files(files_of_folder(folder, label), store, link=link)


def check_tables(store: Path, source: Path) -> None:
    """Check that the tables of a store can be written.

    Parameters
    ----------
    source
        The list or folder of an import. The list cannot be one of the tables.

    Raises
    ------
    OutputError
        If a table cannot be written, or is the list.
    """
    inputs = [source] if source.is_file() else []
    check_outputs(store, (LABEL_FILE, ORIGIN_FILE, NAMES_FILE), inputs)


def import_files(
    files: Iterable[Labelled],
    store: Path,
    *,
    link: bool = False,
    relabel: bool = False,
    names: Names | None = None,
    total: Total = None,
    progress: Progress = no_progress,
) -> Imported:
    """Add labelled images to a store, which no other process may hold.

    The origins and the label file are written atomically at the end, also when the import is
    interrupted. An object without a label does no harm: the next import labels it.

    Parameters
    ----------
    store
        Created if it does not exist.
    link
        Hard-link the files where the file system can, instead of copying them.
    relabel
        Give images that the store already has under the other label the new one.
    names
        The names of label 0 and label 1, if the store is to keep them.
    total
        The number of files, for the progress.

    Raises
    ------
    FolderError
        If another process holds the store, or it cannot be used.
    StoreError
        If the store cannot be written.
    LabelError
        If the store has other names, or its label file or another of its tables is not valid.
    """
    with held(store), _folder_of_objects(store) as temporary:
        if names is not None:
            choose_names(store, names)
            write_names(store, names)
        tables = _Tables(store, relabel=relabel)
        done = Imported()
        cores = available_cores()
        take = partial(
            _take,
            store=store,
            temporary=temporary,
            link=link,
            object_ids=dict(tables.object_ids),
        )
        try:
            results = map_ahead(take, files, workers=cores, window=4 * cores)
            with closing(results), progress("importing", total) as advance:
                for number, (path, label, result) in enumerate(results, 1):
                    if isinstance(result, Kind):
                        done.skipped[result] += 1
                    elif isinstance(result, _Unusable):
                        done.unusable.append((path, result.reason))
                    else:
                        tables.add(result, label, path, done)
                    advance(number)
        finally:
            tables.write()
    return done


@contextmanager
def _folder_of_objects(store: Path) -> Iterator[Path]:
    """Create the folder of the objects, and one beside them for those that are being written."""
    folder = store / "object"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}") from error
    with temporary_folder(folder / "new") as temporary:
        yield Path(temporary)


class _Tables:
    """The labels and origins of a store during an import, by the hash of the object."""

    def __init__(self, store: Path, *, relabel: bool) -> None:
        labels = _labels(store)
        hashes = sha1s(labels)
        self.object_ids = dict(zip(hashes, labels["objectId"], strict=True))
        self._values = dict(zip(hashes, labels["value"], strict=True))
        self._store = store
        self._names, self._origins = read_names(store), read_origins(store)
        self._new: list[tuple[str, int]] = []
        self._relabel = relabel
        self._changed: dict[str, int] = {}

    def add(self, object_id: str, label: int, path: str, done: Imported) -> None:
        """Add the label and the origin of a file, and count it."""
        sha1 = object_id.partition(".")[0]
        object_id = self.object_ids.setdefault(sha1, object_id)
        value = self._values.get(sha1)
        if value is not None and value != label:
            origin = self._origins.get(object_id)
            where = f" from {origin}" if origin else ""
            reason = f"already imported{where} as label {value} ({self._names[value]})"
            done.conflicts.append((path, reason))
            if self._relabel:
                self._values[sha1] = self._changed[object_id] = label
                done.relabelled += 1
            return
        self._origins.setdefault(object_id, str(Path(path).absolute()))
        if value is None:
            self._values[sha1] = label
            self._new.append((object_id, label))
            done.new[label] += 1
        else:
            done.present += 1

    def write(self) -> None:
        """Write what is new. A person may have changed the files in the meantime."""
        add_origins(self._store, self._origins)
        if self._new or self._changed:
            labels = _labels(self._store)
            changed = labels["objectId"].map(self._changed)
            labels["value"] = changed.fillna(labels["value"]).astype("int64")
            merged = _merged(labels, label_frame(self._new))
            write_table(self._store / LABEL_FILE, merged)


def _labels(store: Path) -> pd.DataFrame:
    """Read a store's label file; return an empty frame if it does not exist."""
    label_file = store / LABEL_FILE
    return read_labels(label_file) if label_file.exists() else label_frame()


def _merged(current: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Merge the rows that are not in a label frame yet, in hash order if the frame has it.

    Other frames keep their rows where they are, and the new rows follow in hash order.
    """
    new = new[~sha1s(new).isin(sha1s(current))]
    if is_by_hash(current):
        return by_hash(pd.concat([current, new]))
    return pd.concat([current, by_hash(new)], ignore_index=True)


@dataclass(frozen=True, slots=True)
class _Unusable:
    reason: str


def _take(
    file: Labelled, *, store: Path, temporary: Path, link: bool, object_ids: Mapping[str, str]
) -> tuple[str, int, str | Kind | _Unusable]:
    """Put a file into the store if it is an image; return its location, its label and the result.

    The result is its object ID, the kind of a file that is not an image, or the reason why an image
    is unusable.
    """
    entry, label = file
    result = _stored(entry, store, temporary, link=link, object_ids=object_ids)
    return entry.location, label, result


def _stored(
    entry: Found, store: Path, temporary: Path, *, link: bool, object_ids: Mapping[str, str]
) -> str | Kind | _Unusable:
    if isinstance(entry, Skipped):
        return entry.kind
    if isinstance(entry, Problem):
        return _Unusable(entry.detail)
    path = Path(entry.location)
    try:
        data = path.read_bytes()
    except OSError as error:
        return _Unusable(problem_of(entry.location, error, explicit=entry.explicit).detail)
    format_ = sniff(data[:HEAD_BYTES], path.name)
    if format_ is None and promised_format(path.name) is None and not entry.explicit:
        return kind_of(data[:HEAD_BYTES], path.name)
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if sha1 in object_ids and _is_stored(data, object_path(store, object_ids[sha1])):
        return object_ids[sha1]
    try:
        decode(data, _TRIAL)
    except ImageError as error:
        return _Unusable(error.detail)
    own = extension_of(path.name)
    usual = format_.extensions if format_ is not None else (own,)
    object_id = object_ids.get(sha1) or sha1 + (own if own in usual else usual[0])
    _put(data, path if link else None, object_path(store, object_id), temporary)
    return object_id


def _is_stored(data: bytes, path: Path) -> bool:
    """Check whether an object is intact; an import restores it if not."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _put(data: bytes, source: Path | None, target: Path, folder: Path) -> None:
    """Write or link an object atomically.

    An object is always replaced, and not written in place as an output would be: it may be a hard
    link to somebody's own file.
    """
    temporary = folder / f"{target.name}.{threading.get_ident()}"
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
