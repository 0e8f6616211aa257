import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import BuiltVariant, Run
from export.conftest import Trained
from helpers import encoded, load_photo
from profiles import PROPHOTO

from nsfwexport import keras, modelfile
from nsfwexport.comparison import TOLERANCES, Tolerance
from nsfwexport.contract import violations
from nsfwexport.convert import convert
from nsfwexport.errors import ConversionError, ParityError
from nsfwscan import Classifier, OutputError
from nsfwscan.decoding.parameters import REVISION


def test_the_manifest_describes_the_run_and_the_comparison(trained: Trained) -> None:
    classifier = Classifier.load(trained.model)
    assert violations(classifier) == []
    manifest = classifier.manifest
    facts = json.loads((trained.run / "run.json").read_text())
    assert (manifest.name, manifest.variant) == ("b0", "b0")
    assert manifest.training is not None
    assert manifest.training["split_sha256"] == facts["split_sha256"]
    assert manifest.training["counts"] == facts["counts"]
    assert manifest.training["metrics"] == facts["metrics"]
    assert manifest.parity is not None
    assert [c["way"] for c in manifest.parity["comparisons"]] == ["tensors", "files"]
    assert manifest.tools["tf2onnx"].startswith("1.17")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8)
    source = keras.load(trained.run)
    assert np.abs(classifier.predict(pixels) - source.scorer()(pixels)).max() < 1e-5


@pytest.mark.slow
def test_a_failed_comparison_keeps_the_existing_file(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "b0.onnx"
    out.write_text("before")
    with pytest.raises(ParityError, match=r"b0\.onnx does not give the scores of"):
        convert(keras.load(trained.run), out, tolerances={**TOLERANCES, "cpu": Tolerance(0, 0)})
    assert [path.name for path in tmp_path.iterdir()] == ["b0.onnx"]
    assert out.read_text() == "before"


@pytest.mark.slow
def test_a_model_without_a_run_needs_its_variant(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(
        ConversionError, match="is not a training run; set its variant with --variant"
    ):
        keras.load(trained.run / "model")
    source = keras.load(trained.run / "model", "b0")
    convert(source, tmp_path / "b0.onnx", licence="MIT")
    manifest = Classifier.load(tmp_path / "b0.onnx").manifest
    assert (manifest.training, manifest.licence) == (None, "MIT")


@pytest.mark.slow
def test_an_unwritable_output_is_an_error(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*gone/b0\.onnx: there is no folder"):
        convert(keras.load(trained.run), tmp_path / "gone" / "b0.onnx")


@pytest.mark.slow
def test_an_unsupported_operator_set_is_an_error(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="cannot convert"):
        convert(keras.load(trained.run), tmp_path / "b0.onnx", opset=99)


@pytest.mark.slow
def test_the_names_of_layers_do_not_matter(trained: Trained, tmp_path: Path) -> None:
    tf_keras = keras.tf_keras
    source = keras.load(trained.run)
    renamed = tf_keras.Sequential(
        [tf_keras.Input((224, 224, 3), dtype="uint8", name="x"), source.model], name="y"
    )
    convert(replace(source, model=renamed), tmp_path / "b0.onnx")
    model, _ = modelfile.read(tmp_path / "b0.onnx")
    assert [t.name for t in model.graph.input] == ["image"]
    assert [t.name for t in model.graph.output] == ["probability"]


@pytest.mark.slow
def test_a_model_is_asked_about_the_pixels_that_it_was_trained_on(
    run: Run, trained: Trained, tmp_path: Path
) -> None:
    """A run before there were revisions has seen all colours as sRGB; both share a cache."""
    shutil.copytree(trained.run, tmp_path / "old")
    facts = json.loads((tmp_path / "old" / "run.json").read_text())
    assert facts["preprocess"].pop("revision") == REVISION
    del facts["facts_sha256"]
    (tmp_path / "old" / "run.json").write_text(json.dumps(facts))
    convert(keras.load(tmp_path / "old"), tmp_path / "old.onnx")
    photo = PROPHOTO.image(load_photo("coffee.png"))
    (tmp_path / "photo.png").write_bytes(encoded(photo, "PNG", icc_profile=PROPHOTO.profile))
    (tmp_path / "untagged.png").write_bytes(encoded(photo, "PNG"))
    found = {}
    for name, model in (("old", tmp_path / "old.onnx"), ("new", trained.model)):
        for repeat in range(2):
            done = run(
                "--model", model, "--cache", "c.sqlite", "--format", "jsonl", "--exit-zero",
                "photo.png", "untagged.png",
            )  # fmt: skip
            records = map(json.loads, done.stdout.splitlines())
            found[name, repeat] = {Path(r["path"]).stem: r["score"] for r in records}
    assert found["old", 0] == found["old", 1]
    assert found["new", 0] == found["new", 1]
    assert found["old", 0]["untagged"] == found["new", 0]["untagged"]
    assert found["old", 0]["photo"] == found["old", 0]["untagged"]
    assert abs(found["new", 0]["photo"] - found["new", 0]["untagged"]) > 0.001


@pytest.mark.slow
def test_every_variant_keeps_its_scores_also_with_a_large_head(variant: BuiltVariant) -> None:
    found, large = variant.parity
    assert found == Classifier.load(variant.model).manifest.parity
    low, high = found["score_range"]
    assert low < 0.05
    assert high > 0.95
    assert [(c["way"], c["images"], c["flips"]) for c in found["comparisons"]] == [
        ("tensors", 6, 0),
        ("files", 6, 0),
    ]
    assert max(c["probability"]["largest"] for c in found["comparisons"]) <= 1e-5
    assert found["weights"]["found"] == found["weights"]["tensors"] > 80
    assert found["weights"]["largest"] < 1e-6
    assert [c["way"] for c in large["comparisons"]] == ["tensors", "files"]
    for parity in (found, large):
        assert parity["comparisons"][0]["features"]["largest"] < 5e-4
