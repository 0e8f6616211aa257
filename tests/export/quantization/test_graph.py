from pathlib import Path

import onnx
from graphs import conv_model
from helpers import mean_model

from nsfwexport import modelfile
from nsfwexport.quantization.graph import OPSET, layers, prepare, with_weights


def test_the_last_layer_is_none_of_those_to_convert(tmp_path: Path) -> None:
    model = prepare(modelfile.read_graph(conv_model(tmp_path / "m.onnx")), Path("m.onnx"))
    assert with_weights(model) == ["one", "two", "three", "last"]
    assert layers(model) == ["one", "two", "three"]
    alone = prepare(modelfile.read_graph(mean_model(tmp_path / "mean.onnx")), Path("mean.onnx"))
    assert layers(alone) == []


def test_an_old_graph_is_upgraded_and_keeps_only_the_operators_it_uses(tmp_path: Path) -> None:
    old = modelfile.read_graph(conv_model(tmp_path / "m.onnx", opset=11))
    model = prepare(old, Path("m.onnx"))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert all(node.name for node in model.graph.node)
    onnx.checker.check_model(model, full_check=True)
    assert old.opset_import[0].version == 11
