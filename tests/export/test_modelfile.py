from pathlib import Path

import pytest
from helpers import mean_model

from nsfwexport import modelfile
from nsfwscan import Classifier, Manifest, ManifestError, ModelError, Preprocess

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def test_a_manifest_is_embedded_and_read_back(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS)
    model, manifest = modelfile.read(path)
    assert manifest == OURS
    changed = modelfile.with_tools(manifest, "nsfwscan", "onnx")
    assert set(changed.tools) == {"nsfwscan", "onnx"}
    path.write_bytes(modelfile.embed(model, changed))
    assert Classifier.load(path).manifest == changed
    assert not modelfile.is_half(model)


def test_a_file_without_a_model_or_a_manifest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"no\.onnx is not an ONNX model"):
        modelfile.read(tmp_path / "no.onnx")
    with pytest.raises(ManifestError, match="carries no manifest"):
        modelfile.read(mean_model(tmp_path / "m.onnx"))
