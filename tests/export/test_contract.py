from dataclasses import replace
from pathlib import Path

import pytest
from helpers import mean_model
from onnx import TensorProto

from nsfwexport.contract import graph_violations, require, violations
from nsfwexport.errors import ConversionError
from nsfwexport.modelfile import embed, read_graph
from nsfwscan import Classifier, InputSpec, Manifest, OutputSpec, Preprocess

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def test_a_valid_model_breaks_no_rule(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS)
    (sentence,) = violations(Classifier.load(path))
    assert sentence.startswith("the manifest states no digest")
    path.write_bytes(embed(read_graph(path), OURS))
    assert violations(Classifier.load(path)) == []


@pytest.mark.parametrize(
    ("manifest", "options", "sentence"),
    [
        (OURS, {"shape": (4, 8, 8, 3)}, "the input takes batches of 4 only"),
        (
            replace(OURS, input=InputSpec(dtype="float32")),
            {"dtype": TensorProto.FLOAT},
            "the input is image: float32 [N, 8, 8, 3], not image: uint8 [N, 8, 8, 3]",
        ),
        (
            replace(OURS, output=OutputSpec(name="y")),
            {"output_name": "y"},
            "the output is y: float32 [N, 1], not probability: float32 [N, 1]",
        ),
        (
            OURS,
            {"weights": ((0, 0), (0, 0), (0, 0)), "bias": (0, 0)},
            "the output is probability: float32 [N, 2], not probability: float32 [N, 1]",
        ),
        (
            replace(OURS, preprocess=Preprocess(size=8, resize=10)),
            {},
            "the manifest crops images; the contract is to resize them whole",
        ),
    ],
)
def test_each_broken_rule_is_listed(
    tmp_path: Path, manifest: Manifest, options: dict[str, object], sentence: str
) -> None:
    path = mean_model(tmp_path / "m.onnx", manifest, **options)  # type: ignore[arg-type]
    assert sentence in violations(Classifier.load(path))


def test_a_separate_manifest_breaks_the_contract(tmp_path: Path) -> None:
    sentence, *_ = violations(Classifier.load(mean_model(tmp_path / "m.onnx"), manifest=OURS))
    assert sentence == "the manifest is not embedded in the file but given"


def test_custom_operators_and_external_weights_are_listed(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS)
    model = read_graph(path)
    path.write_bytes(embed(model, OURS))
    assert graph_violations(model) == []
    require(path, model)
    model.graph.node[0].domain = "com.example"
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert graph_violations(model) == [
        "the graph uses operators outside the ONNX standard: com.example",
        "weights are stored in another file",
    ]
    with pytest.raises(ConversionError, match=r"breaks the contract: .*com\.example; weights are"):
        require(path, model)
