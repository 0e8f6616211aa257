from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsfwexport import samples
from nsfwscan import InputError, Preprocess, decode
from nsfwscan.dataset.objects import object_path


def test_generated_images_are_reproducible_and_varied(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (samples.make(tmp_path / name, 24) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    modes = set()
    for path in first:
        with Image.open(path) as image:
            modes.add((image.format, image.mode))
    assert modes >= {("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "L"), ("PNG", "RGBA"), ("PNG", "P")}
    means = [decode(p.read_bytes(), Preprocess(size=8)).pixels.mean() for p in first]
    assert np.ptp(means) > 100


def test_images_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        samples.in_folder(tmp_path)
    made = samples.make(tmp_path, 3)
    assert sorted(samples.in_folder(tmp_path)) == sorted(made)


def test_images_of_a_part_of_a_split(tmp_path: Path) -> None:
    rows = [f"{i:040}.png,1,{'test' if i < 2 else 'train'}\n" for i in range(5)]
    (tmp_path / "split.csv").write_text("objectId,value,type\n" + "".join(rows))
    found = samples.in_store(tmp_path, tmp_path / "split.csv", "test")
    assert found == [object_path(tmp_path, f"{i:040}.png") for i in range(2)]
    with pytest.raises(InputError, match="has no row of type validation"):
        samples.in_store(tmp_path, tmp_path / "split.csv", "validation")
