import hashlib
import json
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan.dataset.objects import object_path
from nsfwscan.errors import InputError, StoreError
from nsfwscan.sources.entry import Entry, Problem
from nsfwtrain.data.decided import decided_files
from nsfwtrain.data.store import import_files
from nsfwtrain.data.tables import read_labels


def decide(home: Path, **decisions: str) -> Path:
    """Make an image of each name, and a file of what was decided about them."""
    listed = []
    for level, (name, decision) in enumerate(decisions.items()):
        data = encoded(Image.new("RGB", (20, 20), (level, 0, 0)), "PNG")
        (home / f"{name}.png").write_bytes(data)
        listed.append({
            "path": f"{name}.png", "decision": decision,
            "sha256": hashlib.sha256(data).hexdigest(), "sha1": hashlib.sha1(data).hexdigest(),
        })  # fmt: skip
    path = home / "decisions.json"
    path.write_text(json.dumps({"schema": 1, "base": str(home), "decisions": listed}))
    return path


def test_decisions_are_labels(tmp_path: Path) -> None:
    path = decide(tmp_path, a="safe", b="indecent", c="indecent")
    files, count = decided_files(path, None)
    done = import_files(files, tmp_path / "store")
    assert (count, done.added, dict(done.new)) == (3, 3, {0: 1, 1: 2})
    labels = read_labels(tmp_path / "store" / "label.csv")
    found = dict(zip(labels["objectId"], labels["value"], strict=True))
    for one in json.loads(path.read_text())["decisions"]:
        object_id = f"{one['sha1']}.png"
        assert found[object_id] == int(one["decision"] == "indecent")
        stored = object_path(tmp_path / "store", object_id)
        assert stored.read_bytes() == (tmp_path / one["path"]).read_bytes()


def test_files_that_were_moved_are_found_by_their_bytes(tmp_path: Path) -> None:
    path = decide(tmp_path, a="safe", b="indecent", c="indecent", d="safe")
    (tmp_path / "moved" / ".deep").mkdir(parents=True)
    (tmp_path / "b.png").rename(tmp_path / "moved" / ".deep" / "other name.png")
    (tmp_path / "c.png").unlink()
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes())
    a, b, c, d = (entry for entry, _ in decided_files(path, tmp_path / "moved")[0])
    assert a == Entry(str(tmp_path / "a.png"), explicit=True)
    assert b.location == str(tmp_path / "moved" / ".deep" / "other name.png")
    assert isinstance(c, Problem)
    assert "name the folder that it is in" in c.detail
    assert isinstance(d, Problem)
    assert d.detail == "it has changed since it was decided about"


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = decide(tmp_path, a="safe")
    with pytest.raises(StoreError, match="gone is not a folder; give the folder that files were"):
        decided_files(path, tmp_path / "gone")
    with pytest.raises(InputError, match=r"a\.png is not a decisions\.json"):
        decided_files(tmp_path / "a.png", None)


def test_conflicts_are_listed_or_relabelled(tmp_path: Path) -> None:
    import_files(decided_files(decide(tmp_path, a="safe", b="safe"), None)[0], tmp_path / "store")
    path = decide(tmp_path, a="safe", b="indecent")
    before = (tmp_path / "store" / "label.csv").read_text()
    done = import_files(decided_files(path, None)[0], tmp_path / "store")
    ((location, why),) = done.conflicts
    assert location == str(tmp_path / "b.png")
    assert why.endswith("as label 0 (decent)")
    assert (tmp_path / "store" / "label.csv").read_text() == before
    done = import_files(decided_files(path, None)[0], tmp_path / "store", relabel=True)
    assert (done.relabelled, done.added, done.present) == (1, 0, 1)
    labels = read_labels(tmp_path / "store" / "label.csv")
    (sha1,) = (
        one["sha1"]
        for one in json.loads(path.read_text())["decisions"]
        if one["decision"] == "indecent"
    )
    assert labels.loc[labels["value"] == 1, "objectId"].tolist() == [f"{sha1}.png"]
    again = import_files(decided_files(path, None)[0], tmp_path / "store")
    assert (again.present, again.conflicts) == (2, [])
