"""A small labelled store that any head can learn, and a fast backbone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nsfwtrain.data.split import split
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels, write_table


@dataclass(frozen=True)
class Labelled:
    """The paths of a labelled store and its split."""

    store: Path
    split: Path


@dataclass(frozen=True)
class Collection(Labelled):
    """The paths of a labelled store, its split and a backbone."""

    backbone: Path


def make_labelled(root: Path, images: int = 120) -> Labelled:
    """Make as many images of random blots for each label; reddish ones have label 1."""
    rng = np.random.default_rng(0)
    for label in (0, 1):
        (root / str(label)).mkdir(parents=True)
        for i in range(images):
            blots = rng.integers(0, 256, (6, 6, 3)).astype(float)
            blots[..., 0] += 80 * (label - 0.5)
            image = Image.fromarray(blots.clip(0, 255).astype(np.uint8))
            image.resize((48, 48)).save(root / str(label) / f"{i}.png")
        import_folder(root / str(label), root / "store", 1 if label else 0)
    write_table(root / "split.csv", split(read_labels(root / "store" / "label.csv")))
    return Labelled(root / "store", root / "split.csv")


def with_backbone(made: Labelled, path: Path) -> Collection:
    """Add a backbone, which imports TensorFlow."""
    from backbones import small_backbone

    return Collection(made.store, made.split, small_backbone(path))


def make_collection(root: Path, images: int = 120) -> Collection:
    """Make a labelled store and a backbone in a folder."""
    return with_backbone(make_labelled(root, images), root / "backbone")
