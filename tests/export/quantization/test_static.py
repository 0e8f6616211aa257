from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import conv_model, make_blots
from onnx import numpy_helper

from nsfwexport import modelfile
from nsfwexport.quantization.candidates import FORMS, METHODS, Form, Method
from nsfwexport.quantization.graph import prepare
from nsfwexport.quantization.static import convert, ranges
from nsfwscan import Classifier, decode


def feeds(classifier: Classifier, folder: Path) -> list[dict[str, Any]]:
    preprocess = classifier.manifest.preprocess
    return [{"image": decode(p.read_bytes(), preprocess).pixels} for p in make_blots(folder)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", METHODS)
def test_weights_have_7_bits_per_channel_and_activations_8_unsigned(
    tmp_path: Path, form: Form, method: Method
) -> None:
    path = conv_model(tmp_path / "m.onnx")
    classifier = Classifier.load(path)
    given = feeds(classifier, tmp_path / "blots")
    model, manifest = modelfile.read(path)
    prepared = prepare(model, path)
    found = ranges(prepared, given, method)
    converted = convert(prepared, form, found, {"two", "three"})
    tensors = {t.name: numpy_helper.to_array(t) for t in converted.graph.initializer}
    weights = {name: t for name, t in tensors.items() if t.dtype == np.int8 and t.ndim == 4}
    assert {name.partition("_")[0] for name in weights} == {"w2", "w3"}
    for name, integers in weights.items():
        assert 60 < np.abs(integers).max() <= 64
        base = name.removesuffix("_quantized")
        assert tensors[f"{base}_scale"].shape == (len(integers),)
        source = next(t for t in model.graph.initializer if t.name == base)
        scales = tensors[f"{base}_scale"].reshape(-1, 1, 1, 1)
        assert np.abs(integers * scales - numpy_helper.to_array(source)).max() <= scales.max()
    points = [t for name, t in tensors.items() if name.endswith("zero_point") and t.ndim == 0]
    assert {t.dtype for t in points} == {np.dtype(np.uint8)}
    (tmp_path / "q.onnx").write_bytes(modelfile.embed(converted, manifest))
    pixels = np.concatenate([feed["image"] for feed in given])
    smaller = Classifier.load(tmp_path / "q.onnx").predict(pixels)
    assert 0 < np.abs(smaller - classifier.predict(pixels)).max() < 0.1
    assert modelfile.precision_of(converted) == "int8"
    assert modelfile.parameters(converted) == pytest.approx(modelfile.parameters(model), rel=0.01)


def test_a_layer_alone_leaves_everything_else_in_floats(tmp_path: Path) -> None:
    path = conv_model(tmp_path / "m.onnx")
    given = feeds(Classifier.load(path), tmp_path / "blots")
    prepared = prepare(modelfile.read_graph(path), path)
    found = ranges(prepared, given, "MinMax")
    alone = convert(prepared, "QDQ", found, {"two"}, alone=True)
    (weights,) = (
        node for node in alone.graph.node
        if node.op_type == "DequantizeLinear" and "w2" in node.input[0]
    )  # fmt: skip
    users = [node.name for node in alone.graph.node if weights.output[0] in node.input]
    assert users == ["two"]
    integers = {t.name for t in alone.graph.initializer if t.data_type == onnx.TensorProto.INT8}
    assert not [name for name in integers if "w1" in name or "w3" in name]
