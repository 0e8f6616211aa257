"""Whole commands, through the installed console script: other people's models."""

import csv
import io
import json
from pathlib import Path

import pytest
from conftest import Run
from helpers import mean_model
from onnx import TensorProto
from PIL import Image
from runtime.inference.test_huggingface import VIT
from runtime.inference.test_known import model_like

from nsfwscan.inference.known import KNOWN

NAMES = ("normal", "hentai", "porn")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model of three classes, with the configurations that its publisher offers."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    labels = {str(index): name for index, name in enumerate(NAMES)}
    (folder / "config.json").write_text(json.dumps({"id2label": labels}))
    (folder / "preprocessor_config.json").write_text(json.dumps(VIT))
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "red.png")
    return mean_model(
        folder / "m.onnx", input_name="pixel_values", output_name="logits",
        dtype=TensorProto.FLOAT, shape=("N", 3, 224, 224),
        weights=((0.0, 1.0, 2.0), (0.0,) * 3, (0.0,) * 3), bias=(0.0, 0.0, 0.0),
    )  # fmt: skip


@pytest.mark.slow
def test_a_foreign_model_is_used_in_three_steps(run: Run, tmp_path: Path, model: Path) -> None:
    """Draft its manifest, fill in what is left, and scan."""
    made = run("manifest", model, "-o", "m.json")
    assert (made.returncode, made.stdout) == (0, "")
    assert made.stderr.splitlines() == [
        "nsfwscan: fill in output.counted: a list of those of the classes that make up the score",
        "nsfwscan: fill in output.reduction: sum, maximum or complement of the counted classes",
        "nsfwscan: the threshold is 0.5 until you measure a better one on your own images",
    ]
    assert run("manifest", model).stdout == (tmp_path / "m.json").read_text()

    scan = ("red.png", "-m", model, "--manifest", "m.json", "--classes")
    refused = run(*scan)
    assert refused.returncode == 2
    left = "the draft is not complete: fill in output.counted, output.reduction"
    assert refused.stderr == f"nsfwscan: m.json: {left}\n"

    facts = json.loads((tmp_path / "m.json").read_text())
    facts["output"] |= {"counted": ["normal"], "reduction": "complement"}
    (tmp_path / "m.json").write_text(json.dumps(facts))
    done = run(*scan, "-f", "jsonl")
    assert done.returncode == 1
    record = json.loads(done.stdout)
    powers = [1.0, 2.718281828, 7.389056099]  # of the logits 0, 1 and 2
    expected = {name: power / sum(powers) for name, power in zip(NAMES, powers, strict=True)}
    assert record["classes"] == pytest.approx(expected, abs=1e-5)
    assert list(record["classes"]) == list(NAMES)
    assert record["score"] == pytest.approx(1 - expected["normal"], abs=1e-5)

    again = run(*scan, "-f", "csv")
    (row,) = csv.DictReader(io.StringIO(again.stdout))
    assert (row["cached"], json.loads(row["classes"])) == ("true", record["classes"])
    assert json.loads(run(*scan[:-1], "-f", "jsonl").stdout)["classes"] is None
    assert "red.png  (porn 0.665, hentai 0.245, normal 0.090)" in run(*scan).stdout


def test_a_draft_is_not_written_over_the_model(run: Run, model: Path) -> None:
    before = model.read_bytes()
    done = run("manifest", model, "-o", model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is an input; name another file" in done.stderr
    assert model.read_bytes() == before


@pytest.mark.parametrize("text", ["no model", ""])
def test_what_is_no_model_gets_no_draft(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.onnx").write_text(text)
    done = run("manifest", "x.onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nsfwscan: x.onnx is not a usable ONNX model" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_known_model_is_named(run: Run, tmp_path: Path) -> None:
    model_like(tmp_path / "m.onnx", KNOWN["falconsai"])
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "red.png")
    done = run("red.png", "-m", "m.onnx", "--manifest", "falconsai", "-f", "jsonl", "--classes")
    record = json.loads(done.stdout)
    assert (record["threshold"], list(record["classes"])) == (0.529, ["normal", "nsfw"])
    shown = run("model", "m.onnx", "--manifest", "falconsai")
    assert "Falconsai/nsfw_image_detection" in shown.stdout
    unknown = run("red.png", "-m", "m.onnx", "--manifest", "falcon")
    assert unknown.returncode == 2
    assert "the known models are falconsai, marqo-384" in unknown.stderr


def test_classes_need_a_model_that_names_them(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "red.png")
    done = run("red.png", "--classes")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the manifest of open_nsfw names no classes" in done.stderr
