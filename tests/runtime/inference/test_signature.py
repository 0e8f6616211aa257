from dataclasses import replace
from pathlib import Path

import pytest
from helpers import graph_model, mean_model
from onnx import TensorProto, helper

from nsfwscan import Classifier, InputSpec, Manifest, ModelError, OutputSpec, Preprocess
from nsfwscan.inference.signature import Tensor, check_signature

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def test_a_tensor_prints_its_name_dtype_and_shape() -> None:
    assert str(Tensor("x", "uint8", ("batch", 8, None, 3))) == "x: uint8 [N, 8, N, 3]"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            replace(OURS, preprocess=Preprocess(size=9)),
            r"takes image: uint8 \[N, 8, 8, 3\], but its",
        ),
        (replace(OURS, input=InputSpec(name="x")), "its manifest has one input named 'x'"),
        (replace(OURS, input=InputSpec(dtype="float32")), r"manifest has image: float32 \[N, 8"),
        (replace(OURS, output=OutputSpec(name="y")), "its manifest has an output named 'y'"),
        (replace(OURS, output=OutputSpec(column=1)), "in its manifest output.column is 1"),
        (
            replace(OURS, output=OutputSpec(activation="softmax")),
            "output.activation is softmax, which makes 1 of a single column: use sigmoid",
        ),
        (
            replace(OURS, output=OutputSpec(classes=("safe", "porn"))),
            r"gives probability: float32 \[N, 1\], but in its .*names 2 classes: safe, porn",
        ),
        (
            replace(OURS, input=InputSpec(layout="NCHW")),
            r"manifest has image: uint8 \[N, 3, 8, 8\]",
        ),
    ],
)
def test_a_manifest_that_contradicts_the_signature_is_refused(
    tmp_path: Path, manifest: Manifest, message: str
) -> None:
    path = mean_model(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=message):
        Classifier.load(path, manifest=manifest)


def test_an_output_of_another_type_or_rank_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Shape", ["image"], ["probability"])
    path = graph_model(tmp_path / "m.onnx", node, dtype=TensorProto.INT64, shape=[4])
    with pytest.raises(ModelError, match=r"gives probability: int64 \[4\], expected floats \[N\]"):
        Classifier.load(path, manifest=OURS)
    cast = helper.make_node("Cast", ["image"], ["probability"], to=TensorProto.FLOAT)
    path = graph_model(tmp_path / "m.onnx", cast, dtype=TensorProto.FLOAT, shape=["N", 8, 8, 3])
    with pytest.raises(ModelError, match=r"expected floats \[N\] or \[N, columns\]"):
        Classifier.load(path, manifest=OURS)


def test_a_batch_size_of_0_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="its batch size is fixed at 0"):
        Classifier.load(mean_model(tmp_path / "0.onnx", OURS, shape=(0, 8, 8, 3)))


def test_an_input_and_an_output_without_a_name_are_the_only_ones(tmp_path: Path) -> None:
    manifest = replace(OURS, input=InputSpec(name=None), output=OutputSpec(name=None))
    path = mean_model(tmp_path / "m.onnx", input_name="x", output_name="y")
    assert Classifier.load(path, manifest=manifest).bound(1) is not None
    wrong = replace(manifest, preprocess=Preprocess(size=9))
    with pytest.raises(ModelError, match=r"takes x: uint8 .* has x: uint8 \[N, 9, 9, 3\]"):
        Classifier.load(path, manifest=wrong)


def test_one_of_several_outputs_needs_a_name() -> None:
    outputs = (Tensor("a", "float32", ("N", 1)), Tensor("b", "float32", ("N", 1)))
    inputs = (Tensor("image", "uint8", ("N", 8, 8, 3)),)
    path = Path("m.onnx")
    with pytest.raises(ModelError, match=r"gives a: .*, b: .* must have the name of one of them"):
        check_signature(replace(OURS, output=OutputSpec(name=None)), inputs, outputs, path)
    assert (
        check_signature(replace(OURS, output=OutputSpec(name="b")), inputs, outputs, path) is None
    )
    with pytest.raises(ModelError, match=r"but its manifest has one input$"):
        check_signature(replace(OURS, input=InputSpec(name=None)), inputs * 2, outputs, path)
