"""Import the photos of the package elpv-dataset into two stores, for `benchmarks/heads.py`.

::

    pip install elpv-dataset
    python benchmarks/elpv.py FOLDER

``FOLDER/all`` has all 2,624 photos of solar cells, defective if the experts give a defect a
probability of 0.5 or more. ``FOLDER/agreed`` has the 2,223 on which they agree. The licence of the
photos, CC-BY-NC-SA, allows evaluation only.
"""

import argparse
import csv
from importlib.util import find_spec
from pathlib import Path

from nsfwtrain.data.files import labelled_files
from nsfwtrain.data.names import write_names
from nsfwtrain.data.store import import_files

_NAMES = ("sound", "defective")


def main() -> None:
    """Write a list for each store, and import it."""
    parser = argparse.ArgumentParser(description="Import the photos of elpv-dataset.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = find_spec("elpv_dataset")
    if found is None or found.origin is None:
        raise SystemExit("elpv-dataset is not installed: pip install elpv-dataset")
    photos = Path(found.origin).parent / "data"
    rows = [line.split() for line in (photos / "labels.csv").read_text().splitlines() if line]
    cells = [(photos / path, float(probability)) for path, probability, _ in rows]
    agreed = [cell for cell in cells if cell[1] in {0.0, 1.0}]
    for name, chosen in (("all", cells), ("agreed", agreed)):
        store = folder / name
        write_names(store, _NAMES)
        with (store / "list.csv").open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["path", "label"])
            table.writerows((path, _NAMES[probability >= 0.5]) for path, probability in chosen)
        files = labelled_files(
            store / "list.csv", store, _NAMES,
            label=None, by_folder=False, path_column=None, label_column=None,
        )  # fmt: skip
        done = import_files(files, store)
        print(f"{store}: {done.added:,} photos")


if __name__ == "__main__":
    main()
