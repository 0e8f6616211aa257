"""The circle of docs/review.md: scan, review, apply, import, fit, calibrate, and scan again."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import ROOT, all_blocks
from export.conftest import Trained
from PIL import Image

from nsfwscan.reports.results import read_results


def make_photos(folder: Path) -> None:
    """Make images of a kind that the model does not know: what is green is safe."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    for label in ("safe", "indecent"):
        for i in range(60):
            blots = rng.integers(0, 256, (6, 6, 3)).astype(float)
            blots[..., 1] += 80 if label == "safe" else -80
            image = Image.fromarray(blots.clip(0, 255).astype(np.uint8))
            image.resize((48, 48)).save(folder / f"{label}-{i}.png")


def truth(path: str) -> str:
    return Path(path).name.partition("-")[0]


def decide(home: Path) -> None:
    """Decide about half of the images, as the page would save it."""
    decisions: list[dict[str, Any]] = []
    for record in read_results(home / "before.jsonl", print):
        if int(Path(record.path).stem.partition("-")[2]) < 30:
            fields = {name: getattr(record, name) for name in ("path", "sha256", "sha1", "score")}
            decisions.append(fields | {"decision": truth(record.path)})
    content = {"schema": 1, "base": str(home), "decisions": decisions}
    (home / "decisions.json").write_text(json.dumps(content))


def wrong(report: Path) -> int:
    """Count the images that nobody decided about and that are wrongly flagged or safe."""
    verdict = {"flagged": "indecent", "safe": "safe"}
    return sum(
        verdict[record.status] != truth(record.path)
        for record in read_results(report, print)
        if int(Path(record.path).stem.partition("-")[2]) >= 30
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs bash")
def test_the_circle_of_the_document(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.collection.store, tmp_path / "store")
    shutil.copy(trained.collection.split, tmp_path / "split.csv")
    shutil.copytree(trained.collection.backbone, tmp_path / "backbones" / "b0")
    shutil.copy(trained.model, tmp_path / "first.onnx")
    make_photos(tmp_path / "photos")
    (block,) = (
        block for block in all_blocks(ROOT / "docs" / "review.md") if "test_circle" in block.note
    )
    scripts = sysconfig.get_path("scripts")
    here = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for command in block.commands():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=here, check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        flags = command.startswith("nsfwscan ./photos")
        assert done.returncode in ({0, 1} if flags else {0}), (command, done.stderr)
        if "review" in command:
            decide(tmp_path)
        if "nsfwtrain import" in command:
            assert done.stdout.startswith(
                "added: 60\n  label 0 (decent): 30\n  label 1 (indecent): 30\n"
            )
    before, after = wrong(tmp_path / "before.jsonl"), wrong(tmp_path / "after.jsonl")
    assert before > 20  # of 60: the first model knows nothing of green
    assert after < before / 2
