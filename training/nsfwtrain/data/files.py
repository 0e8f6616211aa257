"""Find the files of an import and their labels: a folder, folders by name, or a list."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from nsfwscan import Selection
from nsfwscan.dataset.labels import DEFAULT_NAMES, LABELS, cells
from nsfwscan.errors import LabelError, StoreError
from nsfwscan.sources.entry import Entry, Found, problem_of, special_file
from nsfwscan.sources.filetype import HEAD_BYTES, Kind, promised_format, sniff
from nsfwscan.sources.walk import discover
from nsfwtrain.data.names import Names, label_of, value_of

Labelled = tuple[Found, int]
"""A file and its label. The label of an entry that is not a file has no meaning."""

PATH_COLUMNS = ("path", "file", "filename", "image")
LABEL_COLUMNS = ("label", "class", "value", "category")


def files_of_folder(folder: Path, label: int) -> Iterator[Labelled]:
    """Yield the files of a folder, searched recursively as by `nsfwscan.scan`, under one label.

    Raises
    ------
    StoreError
        At the call, if the folder does not exist.
    """
    _check_folder(folder, "images of one label")
    return ((entry, label) for entry in discover([folder], Selection()))


def files_of_subfolders(folder: Path, store: Path, names: Names | None) -> Iterator[Labelled]:
    """Yield the files below the subfolders of a folder. The name of a subfolder is its label.

    Parameters
    ----------
    store
        For the command in a message.
    names
        None if nobody chose names: the subfolders are then called 0 and 1 or as `DEFAULT_NAMES`.

    Raises
    ------
    StoreError
        At the call, if the folder does not exist.
    LabelError
        At the call, if a subfolder is not a label, a label has no subfolder, or an image is in the
        folder itself.
    """
    _check_folder(folder, "a subfolder for each label")
    subfolders = []
    for entry in discover([folder], Selection(max_depth=1)):
        path = Path(entry.location)
        if isinstance(entry, Entry) and _is_image(path):
            raise LabelError(f"{path} is in no subfolder; move it to the subfolder of its label")
        if getattr(entry, "kind", None) == Kind.DEEPER_FOLDER:
            subfolders.append(path.name)
    labels = _labels_of(folder, subfolders, store, names)

    def label_of_entry(entry: Found) -> int:
        return labels.get(Path(entry.location).relative_to(folder).parts[0], 0)

    return ((entry, label_of_entry(entry)) for entry in discover([folder], Selection()))


def _labels_of(
    folder: Path, subfolders: list[str], store: Path, names: Names | None
) -> dict[str, int]:
    """Return the label of each subfolder."""
    expected = names or DEFAULT_NAMES
    others = [name for name in subfolders if value_of(name, expected) is None]
    if names is None and len(others) == len(subfolders) == len(LABELS):
        raise LabelError(
            "the subfolders do not say which one is label 1; use: nsfwtrain import "
            f"{quote(str(folder))} --store {quote(str(store))} --by-folder "
            f"--labels {quote(','.join(others))} "
            "(label 1, the second, is what a scan flags)"
        )
    labels = {name: label_of(name, names, str(folder / name)) for name in subfolders}
    for value in LABELS:
        if value not in labels.values():
            raise LabelError(
                f"{folder} has no subfolder of label {value}, which is called {value} or "
                f"{expected[value]}"
            )
    return labels


def _check_folder(folder: Path, contents: str) -> None:
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; give a folder with {contents}")


def _is_image(path: Path) -> bool:
    """Check a file by its name and its first bytes."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        head = b""
    return (promised_format(path.name) or sniff(head, path.name)) is not None


def files_of_list(
    path: Path,
    names: Names | None,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
) -> Iterator[Labelled]:
    """Read a list of files and labels: a table with a header, separated by commas, ``;`` or tabs.

    Parameters
    ----------
    names
        None if nobody chose names: `DEFAULT_NAMES`.
    path_column, label_column
        Names of the columns; None for one of `PATH_COLUMNS` and of `LABEL_COLUMNS`. Relative paths
        are relative to the folder of the list.

    Raises
    ------
    LabelError
        At the call, if the file is not a table in UTF-8, has no such columns or no rows, or a row
        has no path, an unknown label, or another label than an earlier row of the same file. The
        message gives the line.
    """
    table = cells(path)
    _, header = next(table, (1, []))
    of_path = _column(path, header, path_column, PATH_COLUMNS, "--path-column")
    of_label = _column(path, header, label_column, LABEL_COLUMNS, "--label-column")
    seen: dict[str, tuple[int, int]] = {}
    files: list[tuple[str, int]] = []
    for number, row in table:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise LabelError(f"{where}: expected {len(header)} cells as in line 1, got {len(row)}")
        if not row[of_path].strip():
            raise LabelError(f"{where}: the path is empty")
        label = label_of(row[of_label].strip(), names, where)
        location = os.path.normpath(path.parent / row[of_path])
        earlier, line = seen.setdefault(location, (label, number))
        if earlier != label:
            raise LabelError(
                f"{where}: {row[of_path]} has label {label}, but label {earlier} in line {line}"
            )
        files.append((location, label))
    if not files:
        raise LabelError(f"{path} lists no files; add a row with the path and the label of each")
    return ((_file(location), label) for location, label in files)


def _column(
    path: Path, header: list[str], name: str | None, usual: Sequence[str], option: str
) -> int:
    """Return the position of a column by its name, or by one of the usual names."""
    wanted = usual if name is None else [name.strip().casefold()]
    found = [i for i, cell in enumerate(header) if cell.strip().casefold() in wanted]
    if len(found) != 1:
        raise LabelError(
            f"{path}, line 1: expected one column called {' or '.join(wanted)}, got "
            f"{', '.join(header)!r}; choose one with {option}"
        )
    return found[0]


def _file(location: str) -> Found:
    try:
        mode = os.stat(location).st_mode  # noqa: PTH116 - no Path for each row of a long list
    except (OSError, ValueError) as error:
        return problem_of(location, error, explicit=True)
    return Entry(location, explicit=True) if stat.S_ISREG(mode) else special_file(location, mode)


def labelled_files(
    source: Path,
    store: Path,
    names: Names | None,
    *,
    label: str | None = None,
    by_folder: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
) -> Iterator[Labelled]:
    """Find the files and labels of an import: of a folder and a label, of subfolders or of a list.

    Raises
    ------
    StoreError, LabelError
        As the functions above; LabelError also if the options do not say which of the three it is.
    """
    is_list = label is None and not by_folder and not source.is_dir()
    if (label is not None) + by_folder + is_list != 1:
        raise LabelError(
            f"{source}: give a folder and --label, a folder and --by-folder, or a list in a file"
        )
    if is_list:
        return files_of_list(source, names, path_column=path_column, label_column=label_column)
    if path_column is not None or label_column is not None:
        raise LabelError(f"--path-column and --label-column need a list, and {source} is none")
    if label is None:
        return files_of_subfolders(source, store, names)
    return files_of_folder(source, label_of(label, names, "--label"))
