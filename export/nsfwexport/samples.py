"""Images to compare models on: those of a folder or a store, or generated ones."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from nsfwscan import InputError, Selection
from nsfwscan.dataset.labels import Part, read_split
from nsfwscan.dataset.objects import object_path
from nsfwscan.sources.entry import Entry
from nsfwscan.sources.walk import discover

LEAST = 16
"""The fewest different images from which anything is concluded about others."""

_ORIENTATION_TAG = 0x0112


def in_folder(folder: Path) -> list[Path]:
    """List the files below a folder that may be images; `folder` may also be one file.

    Raises
    ------
    InputError
        If there is no such file.
    """
    found = [Path(e.location) for e in discover([folder], Selection()) if isinstance(e, Entry)]
    if not found:
        raise InputError(f"{folder} holds no image; choose a folder of photos")
    return found


def require_enough(count: int, purpose: str) -> None:
    """Raise `InputError` if so many different images are too few for a purpose: ``to ...``."""
    if count < LEAST:
        raise InputError(
            f"{count} different images are too few {purpose}; give {LEAST} or more, better 200 of "
            "both labels"
        )


def in_store(store: Path, split: Path, part: Part) -> list[Path]:
    """List the objects of one part of a split.

    Raises
    ------
    LabelError
        If the split file cannot be read.
    InputError
        If the part is empty.
    """
    rows = [row for row in read_split(split) if row.part == part]
    if not rows:
        raise InputError(f"{split} has no row of type {part}")
    return [object_path(store, row.label.object_id) for row in rows]


def make(folder: Path, count: int = 64) -> list[Path]:
    """Generate images of random colours and patterns of all scales in an existing folder.

    The images are the same in every call. They are JPEG and PNG files of many sizes, some
    grey, transparent or rotated by EXIF.
    """
    rng = np.random.default_rng(0)
    return [_write(folder / f"{i:03}", rng, i) for i in range(count)]


def _write(path: Path, rng: np.random.Generator, i: int) -> Path:
    width, height = rng.integers(120, 900, 2).tolist()
    detail = int(2 ** rng.uniform(0, 7))
    colours = rng.integers(0, 256, (detail, detail, 3)) * rng.uniform(0.2, 1, 3)
    lightness = rng.uniform(0, 255 - colours.max())
    pixels = (colours + lightness).astype(np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    if i % 3 == 0:
        mode: Sequence[str] = ("RGB", "L", "RGBA", "P")
        image = image.convert(mode[i // 3 % len(mode)])
        return _save(image, path.with_suffix(".png"))
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = i % 8 + 1
    return _save(image, path.with_suffix(".jpg"), quality=85, exif=exif)


def _save(image: Image.Image, path: Path, **options: object) -> Path:
    data = io.BytesIO()
    image.save(data, Image.registered_extensions()[path.suffix], **options)
    path.write_bytes(data.getvalue())
    return path
