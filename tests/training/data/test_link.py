import os
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan.errors import StoreError
from nsfwtrain.data.link import link_folders
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels, split_frame

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")


def test_links_follow_the_split(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        data = encoded(Image.new("RGB", (9, 9), (i * 50, 0, 0)), "PNG")
        (tmp_path / "in" / f"{i}.png").write_bytes(data)
    store, out = tmp_path / "store", tmp_path / "out"
    import_folder(tmp_path / "in", store, 1)
    a, b, c = read_labels(store / "label.csv")["objectId"]
    assert link_folders(store, split_frame([(a, 1, "test"), (b, 1, "train")]), out) == 2
    assert (out / "test" / "1" / a).read_bytes().startswith(b"\x89PNG")
    assert (out / "train" / "0").is_dir()
    (out / "test" / "1" / "mine.txt").write_text("stays")
    assert link_folders(store, split_frame([(a, 1, "train"), (c, 1, "test")]), out) == 2
    links = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_symlink()}
    assert links == {f"train/1/{a}", f"test/1/{c}"}
    assert (out / "test" / "1" / "mine.txt").exists()


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    missing = "0" * 40 + ".png"
    with pytest.raises(StoreError, match=f"object {missing} is missing"):
        link_folders(tmp_path, split_frame([(missing, 1, "test")]), tmp_path / "out")
