from dataclasses import replace
from pathlib import Path

import pytest
from helpers import graph_model, mean_model
from onnx import TensorProto, helper

from nsfwscan import Classifier, InputSpec, Manifest, ModelError, OutputSpec, Preprocess
from nsfwscan.inference.signature import Tensor

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
        (replace(OURS, output=OutputSpec(column=1)), "its manifest has column 1"),
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
