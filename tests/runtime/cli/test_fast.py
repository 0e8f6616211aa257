"""``--fast`` and ``--companion``: a fast model first, its original near the threshold."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Run
from helpers import PHOTOS, mean_model
from PIL import Image

from nsfwscan import Classifier, Manifest, Preprocess
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.companion import BUILT_IN
from nsfwscan.inference.modelfile import default_model_path

MANIFEST = Manifest(name="redness", preprocess=Preprocess(size=8))


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Write photos, a model that sees red, and its fast copy, which sees a little more."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, red in (("a", 10), ("b", 120), ("c", 210)):
        Image.new("RGB", (8, 8), (red, 0, 0)).save(photos / f"{name}.png")
    original = Classifier.load(mean_model(tmp_path / "m.onnx", MANIFEST))
    fast = replace(MANIFEST, name="quick", cascade=Cascade(model=original.sha256, band=1.0))
    mean_model(tmp_path / "fast.onnx", fast, weights=((1.2 / 255,), (0.0,), (0.0,)))
    return photos


def test_records_say_which_model_scored(run: Run, pair: Path) -> None:
    done = run("photos", "-m", "m.onnx", "--companion", "fast.onnx", "-f", "jsonl", "--exit-zero")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["status"], one["score"], one["precision"]) for one in records] == [
        ("safe", 0.047059, "reduced"),
        ("safe", 0.470588, "full"),  # 0.56 by the fast model
        ("flagged", 0.988235, "reduced"),
    ]
    assert "redness on cpu, first quick, flagging as indecent" in done.stderr


def test_the_options_file_may_ask_for_it(run: Run, pair: Path) -> None:
    pair.with_name("nsfwscan.toml").write_text('companion = "fast.onnx"\nmodel = "m.onnx"\n')
    done = run("photos", "-f", "jsonl", "-q", "--exit-zero")
    words = [json.loads(line)["precision"] for line in done.stdout.splitlines()]
    assert words == ["reduced", "full", "reduced"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-m", "m.onnx", "--fast"], "was made from the model 864bb37bf886, and m.onnx is"),
        (["--companion", "fast.onnx"], "fast.onnx was made from the model"),
        (["-m", "m.onnx", "--companion", "m.onnx"], "m.onnx states no original in its manifest"),
        (["-m", "m.onnx", "--companion", "no.onnx"], "cannot read the model no.onnx"),
        (["-m", "m.onnx", "--companion", "fast.onnx", "-o", "fast.onnx"], "is an input"),
    ],
)
def test_wrong_pairs_are_one_sentence(run: Run, pair: Path, options: list[str], said: str) -> None:
    done = run("photos", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.slow
def test_fast_decides_as_the_default_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("astronaut.png", "chelsea.png", "rocket.jpg"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    statuses = []
    for more in ([], ["--fast"]):
        done = run("photos", "-f", "jsonl", "-q", "--exit-zero", "--no-cache", *more)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        statuses.append([one["status"] for one in records])
        assert {one["precision"] for one in records} <= ({"reduced", "full"} if more else {None})
    assert statuses[0] == statuses[1]
    assert len(statuses[0]) == 3


def test_the_built_in_files_are_inputs(run: Run, pair: Path) -> None:
    for file in (BUILT_IN, default_model_path()):
        before = file.read_bytes()
        done = run("photos", "--fast", "-o", str(file))
        assert done.returncode == 2
        assert f"cannot write {file}: " in done.stderr
        assert file.read_bytes() == before


def test_reports_name_the_fast_model(run: Run, pair: Path) -> None:
    done = run("photos", "-m", "m.onnx", "--companion", "fast.onnx", "-f", "html", "--exit-zero")
    assert "<dd>quick " in done.stdout
    done = run("photos", "-m", "m.onnx", "--companion", "fast.onnx", "-v", "--exit-zero")
    assert "nsfwscan: fast: fast.onnx\n" in done.stderr
