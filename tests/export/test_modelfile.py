import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import mean_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    read = Classifier.load(path).manifest
    assert replace(read, digest=None) == changed
    assert modelfile.read(path)[1] == read
    assert modelfile.precision_of(model) == "single"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = mean_model(tmp_path_factory.mktemp("published") / "m.onnx")
    return modelfile.embed(modelfile.read_graph(path), OURS)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_flipped_bit_is_noticed(
    published: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    bit = data.draw(st.integers(0, 8 * len(published) - 1))
    damaged = bytearray(published)
    damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path / "m.onnx"
    path.write_bytes(damaged)
    for load in (Classifier.load, modelfile.read):
        with pytest.raises(ModelError, match=r"m\.onnx"):
            load(path)


def test_a_mixed_model_is_noticed(tmp_path: Path) -> None:
    """Two models of one shape, and the same model with its labels swapped."""
    path, other = tmp_path / "m.onnx", tmp_path / "other.onnx"
    mean_model(path)
    mean_model(other, weights=((0.0,), (1 / 255,), (0.0,)))
    for file in (path, other):
        file.write_bytes(modelfile.embed(modelfile.read_graph(file), OURS))
    graph = modelfile.read_graph(path)
    text = graph.metadata_props[0].value
    for value in (
        modelfile.read_graph(other).metadata_props[0].value,
        text.replace("indecent", "x").replace("decent", "indecent").replace('"x"', '"decent"'),
        text.replace('"threshold": 0.5', '"threshold": 0.9'),
    ):
        assert value != text
        graph.metadata_props[0].value = value
        path.write_bytes(graph.SerializeToString())
        for load in (Classifier.load, modelfile.read):
            with pytest.raises(ModelError, match=r"m\.onnx is damaged, or is not the file that"):
                load(path)


def test_a_separate_manifest_can_state_the_digest(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx")
    stated = replace(OURS, digest=hashlib.sha256(path.read_bytes()).hexdigest())
    assert Classifier.load(path, manifest=stated).manifest == stated
    mean_model(path, weights=((0.0,), (1 / 255,), (0.0,)))
    with pytest.raises(ModelError, match=r"is not the file that its manifest describes"):
        Classifier.load(path, manifest=stated)


def test_a_file_without_a_model_or_a_manifest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"no\.onnx is not an ONNX model"):
        modelfile.read(tmp_path / "no.onnx")
    with pytest.raises(ManifestError, match="carries no manifest"):
        modelfile.read(mean_model(tmp_path / "m.onnx"))
