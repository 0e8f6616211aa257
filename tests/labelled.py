"""A small labelled store that any head can learn, and a fast backbone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from backbones import small_backbone
from PIL import Image

from nsfwtrain.data.split import split
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels, write_table


@dataclass(frozen=True)
class Collection:
    """The paths of a labelled store, its split and a backbone."""

    store: Path
    split: Path
    backbone: Path


def make_collection(root: Path) -> Collection:
    """Make 2 x 120 images of random blots; reddish ones have label 1."""
    rng = np.random.default_rng(0)
    for label in (0, 1):
        (root / str(label)).mkdir(parents=True)
        for i in range(120):
            blots = rng.integers(0, 256, (6, 6, 3)).astype(float)
            blots[..., 0] += 80 * (label - 0.5)
            image = Image.fromarray(blots.clip(0, 255).astype(np.uint8))
            image.resize((48, 48)).save(root / str(label) / f"{i}.png")
        import_folder(root / str(label), root / "store", 1 if label else 0)
    write_table(root / "split.csv", split(read_labels(root / "store" / "label.csv")))
    return Collection(root / "store", root / "split.csv", small_backbone(root / "backbone"))
