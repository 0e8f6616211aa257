"""Turn a split into folders of symbolic links, for tools that read labelled folders."""

import os
from pathlib import Path

import pandas as pd

from nsfwscan.dataset.labels import LABELS, PARTS, SPLIT_HEADER
from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import StoreError


def link_folders(store: Path, split: pd.DataFrame, out: Path) -> int:
    """Make ``<out>/<type>/<label>/<object ID>`` point to each object; return the number of links.

    The folder `out` is created if it does not exist. Links of an earlier split are removed unless
    this split has the same. Other files stay.

    Raises
    ------
    StoreError
        If an object is missing, or a link cannot be created.
    """
    wanted: dict[Path, Path] = {}
    for object_id, value, part in split[SPLIT_HEADER].itertuples(index=False, name=None):
        target = object_path(store, object_id).resolve()
        if not target.is_file():
            raise StoreError(f"object {object_id} is missing: there is no file {target}")
        wanted[out / part / str(value) / object_id] = target
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
            f"cannot create links in {out}: {error.strerror}: {error.filename2 or error.filename}"
        ) from error
    return len(wanted)
