import os
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan.dataset.labels import Assigned, Label, read_labels
from nsfwscan.errors import StoreError
from nsfwtrain.data.link import link_folders
from nsfwtrain.data.store import import_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")


def test_links_follow_the_split(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        data = encoded(Image.new("RGB", (9, 9), (i * 50, 0, 0)), "PNG")
        (tmp_path / "in" / f"{i}.png").write_bytes(data)
    store, out = tmp_path / "store", tmp_path / "out"
    import_folder(tmp_path / "in", store, 1)
    a, b, c = read_labels(store / "label.csv")
    assert link_folders(store, [Assigned(a, "test"), Assigned(b, "train")], out) == 2
    assert (out / "test" / "1" / a.object_id).read_bytes().startswith(b"\x89PNG")
    assert (out / "train" / "0").is_dir()
    (out / "test" / "1" / "mine.txt").write_text("stays")
    assert link_folders(store, [Assigned(a, "train"), Assigned(c, "test")], out) == 2
    links = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_symlink()}
    assert links == {f"train/1/{a.object_id}", f"test/1/{c.object_id}"}
    assert (out / "test" / "1" / "mine.txt").exists()


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    missing = Label("0" * 40 + ".png", 1)
    with pytest.raises(StoreError, match=f"object {missing.object_id} is missing"):
        link_folders(tmp_path, [Assigned(missing, "test")], tmp_path / "out")
