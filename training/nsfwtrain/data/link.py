"""Lay a split out as folders of symbolic links, for tools that want folders."""

import os
from collections.abc import Iterable
from pathlib import Path

from nsfwscan.dataset.labels import LABELS, PARTS, Assigned
from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import StoreError


def link_folders(store: Path, assigned: Iterable[Assigned], out: Path) -> int:
    """Make ``<out>/<type>/<label>/<object ID>`` point to each object.

    Parameters
    ----------
    store
        The objects.
    assigned
        The split.
    out
        Made if it does not exist. Links of an earlier layout that are not in this split, or are in
        another part of it, are removed; anything else there stays.

    Returns
    -------
    int
        How many links there are.

    Raises
    ------
    StoreError
        If an object is missing, or a link cannot be made.
    """
    wanted: dict[Path, Path] = {}
    for row in assigned:
        target = object_path(store, row.label.object_id).resolve()
        if not target.is_file():
            raise StoreError(f"object {row.label.object_id} is missing: no file {target}")
        wanted[out / row.part / str(row.label.value) / row.label.object_id] = target
    try:
        for part in PARTS:
            for value in LABELS:
                folder = out / part / str(value)
                folder.mkdir(parents=True, exist_ok=True)
                for old in folder.iterdir():
                    if old.is_symlink() and wanted.get(old) != Path(os.readlink(old)):  # noqa: PTH115 - readlink() normalises
                        old.unlink()
        for link, target in wanted.items():
            if not link.is_symlink():
                link.symlink_to(target)
    except OSError as error:
        raise StoreError(
            f"cannot lay out {out}: {error.strerror}: {error.filename2 or error.filename}"
        ) from error
    return len(wanted)
