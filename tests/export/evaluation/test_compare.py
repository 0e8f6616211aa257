import csv
import resource
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from graphs import make_blots
from helpers import mean_model
from sklearn.metrics import roc_auc_score

from nsfwexport.errors import CalibrationError
from nsfwexport.evaluation.compare import compare, names_of
from nsfwexport.evaluation.process import peak_megabytes
from nsfwscan import Classifier, InputError, Manifest, Preprocess, scan


def manifest(**changes: object) -> Manifest:
    return Manifest(name="m", preprocess=Preprocess(size=8), **changes)  # type: ignore[arg-type]


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Write two models: one sees red, the other brightness."""
    third = (1 / 3 / 255,)
    return [
        mean_model(tmp_path / "red.onnx", manifest()),
        mean_model(tmp_path / "bright.onnx", manifest(threshold=0.4), weights=(third,) * 3),
    ]


@pytest.fixture
def listed(tmp_path: Path) -> list[tuple[str, int]]:
    """Write images; the reddish ones have label 1."""
    return [(str(path), i % 2) for i, path in enumerate(make_blots(tmp_path / "blots"))]


@pytest.mark.slow
def test_a_model_of_another_project_is_compared(
    run: Run, tmp_path: Path, models: list[Path], listed: list[tuple[str, int]]
) -> None:
    lines = ["path,label", *(f"{path},{label}" for path, label in listed)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    mean_model(tmp_path / "foreign.onnx")
    (tmp_path / "their.json").write_text(manifest(threshold=0.3).to_json())
    words = ("compare", "red.onnx", "foreign.onnx", "--labels", "list.csv", "-o", "found")
    refused = run(*words, program="nsfwexport")
    assert refused.returncode == 2
    assert "has no manifest" in refused.stderr
    done = run(*words, "--manifest", "foreign.onnx=their.json", program="nsfwexport")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "found" / "models.csv").open() as stream:
        own, foreign = csv.DictReader(stream)
    assert (own["threshold"], foreign["threshold"]) == ("0.5", "0.3")
    assert own["roc_auc"] == foreign["roc_auc"]  # the same weights
    for pair, said in (
        ("their.json", "must be MODEL=FILE, got 'their.json'"),
        ("other.onnx=their.json", "names other.onnx, which is not among the compared models"),
    ):
        refused = run(*words, "--manifest", pair, program="nsfwexport")
        assert refused.returncode == 2
        assert said in refused.stderr


@pytest.mark.slow
def test_models_are_measured_as_they_scan(
    run: Run, tmp_path: Path, models: list[Path], listed: list[tuple[str, int]]
) -> None:
    lines = ["path,label", *(f"{path},{label}" for path, label in listed)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    done = run(
        # as in docs/comparing.md
        "compare", *models, "--labels", "list.csv", "--reference", "bright.onnx", "-o", "a/b",
        program="nsfwexport",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 images of list.csv: 12 decent, 12 indecent;")
    with (tmp_path / "a" / "b" / "images.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    with (tmp_path / "a" / "b" / "models.csv").open() as stream:
        measured = {row["model"]: row for row in csv.DictReader(stream)}
    assert list(measured) == ["bright.onnx", "red.onnx"]  # the reference first
    for path in models:
        classifier = Classifier.load(path)
        records = list(scan([path for path, _ in listed], classifier))
        assert [float(row[path.name]) for row in rows] == [record.score for record in records]
        flagged = [record.status == "flagged" for record in records]
        assert [row[f"{path.name} flagged"] == "yes" for row in rows] == flagged
        row = measured[path.name]
        expected = roc_auc_score([label for _, label in listed], [r.score for r in records])
        assert float(row["roc_auc"]) == pytest.approx(expected)
        assert row["sha256"] == classifier.sha256
        assert float(row["milliseconds"]) > 0
        assert int(row["parameters"]) == 4
        if peak_megabytes() is not None:  # more than an interpreter, less than the largest child
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
            assert 10 < float(row["peak_megabytes"]) <= most


def test_a_model_that_learned_from_the_part_is_refused(
    models: list[Path], listed: list[tuple[str, int]]
) -> None:
    mean_model(models[1], manifest(training={"epochs": 3}))
    with pytest.raises(CalibrationError, match=r"bright\.onnx has learned from the part train"):
        compare(models, listed, "a test", part="train")


def test_bad_lists_are_refused_before_the_work(
    models: list[Path], listed: list[tuple[str, int]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"red\.onnx is listed twice"):
        compare([models[0], models[0]], listed, "a test")
    gone = [*listed, (str(tmp_path / "gone.png"), 1)]
    with pytest.raises(InputError, match=r"cannot read .*gone\.png: No such file"):
        compare(models, gone, "a test")
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.png has no score \(the content is not"):
        compare(models, [(str(tmp_path / "broken.png"), 1), *listed], "a test")


def test_contradictory_options_are_refused(run: Run, models: list[Path]) -> None:
    done = run("compare", *models, program="nsfwexport")
    assert done.returncode == 2
    assert "choose labelled images: --labels, or --store and --split" in done.stderr


def test_names_have_as_many_folders_as_needed() -> None:
    assert names_of([Path("a/x.onnx"), Path("a/y.onnx")]) == ["x.onnx", "y.onnx"]
    assert names_of([Path("r/a/x.onnx"), Path("r/b/x.onnx")]) == ["a/x.onnx", "b/x.onnx"]
    assert names_of([Path("x.onnx")]) == ["x.onnx"]


def test_labels_are_counted_as_given(models: list[Path], listed: list[tuple[str, int]]) -> None:
    with pytest.raises(CalibrationError, match="no image of label 1 among them"):
        compare(models, listed[::2], "a test")
    assert np.mean([label for _, label in listed]) == 0.5
