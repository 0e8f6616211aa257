import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from converted import scale_head
from export.conftest import Trained
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nsfwexport import keras, modelfile, samples
from nsfwexport.comparison import TOLERANCES, Report, Tolerance, compare, relative_errors
from nsfwexport.errors import ParityError
from nsfwexport.keras import tf_keras
from nsfwexport.parity import verify
from nsfwexport.reference import Reference

CPU = TOLERANCES["cpu"]
SCORES = hnp.arrays(np.float32, 20, elements=st.floats(0, 1, width=32))
NAMES = [str(i) for i in range(20)]


def report_of(
    trained: Trained, model: Path, images: list[Path], *, generated: bool = False
) -> Report:
    reference = replace(keras.load(trained.run).reference(), name="the run")
    return verify(model, reference, images, generated=generated)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return samples.make(tmp_path_factory.mktemp("images"), 24)


def test_a_converted_model_gives_the_same_scores(trained: Trained, images: list[Path]) -> None:
    report = report_of(trained, trained.model, images)
    report.require(trained.model)
    assert [(c.way, c.device, c.images) for c in report.comparisons] == [
        ("tensors", "cpu", 24),
        ("files", "cpu", 24),
    ]
    for comparison in report.comparisons:
        assert 0 < comparison.probability.largest <= 1e-5
        assert comparison.logit.mean < 0.05  # single precision has few digits near 1
        assert comparison.flips == 0
    assert report.spread


def changed(trained: Trained, path: Path, change: Callable[[str, Any], Any]) -> Path:
    """Write a copy of the model file whose initializers are changed in place."""
    model, manifest = modelfile.read(trained.model)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        change(tensor.name, values)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    path.write_bytes(modelfile.embed(model, manifest))
    return path


@pytest.mark.parametrize("shape", [(32, 3, 8, 8), (32, 1280), (1280, 1)])
def test_one_weight_that_differs_by_one_percent_is_refused(
    trained: Trained, images: list[Path], tmp_path: Path, shape: tuple[int, ...]
) -> None:
    moved = []

    def move(name: str, values: Any) -> None:
        if values.shape == shape:
            values.ravel()[values.size // 2] *= 1.01
            moved.append(name)

    path = changed(trained, tmp_path / "m.onnx", move)
    assert len(moved) == 1
    with pytest.raises(ParityError) as caught:
        report_of(trained, path, images, generated=True).require(path)
    message = str(caught.value)
    assert re.search(r"the run: 1 of [\d,]+ weights differ by up to 0\.01 of their value", message)
    assert "made from another run; convert the run again" in message


def test_another_bias_of_the_last_layer_is_refused(
    trained: Trained, images: list[Path], tmp_path: Path
) -> None:
    bias = float(keras.load(trained.run).model.layers[-1].bias.numpy()[0])

    def move(_name: str, values: Any) -> None:
        if values.size == 1 and values.dtype == np.float32 and values.item() == np.float32(bias):
            values *= 1.01

    path = changed(trained, tmp_path / "m.onnx", move)
    with pytest.raises(ParityError, match=r"1 of .* weights differ by up to 0\.01 of their"):
        report_of(trained, path, images, generated=True).require(path)


@pytest.mark.parametrize("fault", ["1 % more", "reversed", "negated", "zero", "half precision"])
@pytest.mark.slow
def test_another_kernel_of_the_last_layer_is_refused(
    trained: Trained, images: list[Path], tmp_path: Path, fault: str
) -> None:
    faults: dict[str, Callable[[Any], Any]] = {
        "1 % more": lambda kernel: 1.01 * kernel,
        "reversed": lambda kernel: kernel[::-1].copy(),
        "negated": lambda kernel: -kernel,
        "zero": lambda kernel: 0 * kernel,
        "half precision": lambda kernel: kernel.astype(np.float16),
    }

    def move(_name: str, values: Any) -> None:
        if values.shape == (1280, 1):
            values[...] = faults[fault](values)

    path = changed(trained, tmp_path / "m.onnx", move)
    with pytest.raises(ParityError, match=r"weights differ by up to .* made from another run"):
        report_of(trained, path, images, generated=True).require(path)


@pytest.mark.parametrize(("alpha", "beta", "same"), [(1.0, 1.0, True), (-1.0, 1.0, False),
                                                     (1.0, 0.0, False)])  # fmt: skip
def test_the_factors_of_the_last_layer_are_those_of_the_model(
    trained: Trained, images: list[Path], tmp_path: Path, alpha: float, beta: float, same: bool
) -> None:
    model, manifest = modelfile.read(trained.model)
    nodes = {name: node for node in model.graph.node for name in node.output}
    (add,) = [node for node in model.graph.node if node.op_type == "Add"
              and nodes.get(node.input[0]) and nodes[node.input[0]].op_type == "MatMul"
              and any(add_to.op_type == "Sigmoid" and node.output[0] in add_to.input
                      for add_to in model.graph.node)]  # fmt: skip
    product = nodes[add.input[0]]
    gemm = onnx.helper.make_node(
        "Gemm", [*product.input, add.input[1]], add.output, alpha=alpha, beta=beta
    )
    place = list(model.graph.node).index(add)
    model.graph.node.remove(add)
    model.graph.node.remove(product)
    model.graph.node.insert(place - 1, gemm)
    path = tmp_path / "m.onnx"
    path.write_bytes(modelfile.embed(model, manifest))
    report = report_of(trained, path, images, generated=True)
    if same:
        report.require(path)
    else:
        with pytest.raises(ParityError, match="weights differ by up to"):
            report.require(path)


def test_other_names_of_the_labels_are_refused(
    trained: Trained, images: list[Path], tmp_path: Path
) -> None:
    model, manifest = modelfile.read(trained.model)
    path = tmp_path / "m.onnx"
    swapped = replace(manifest, labels=manifest.labels[::-1])
    path.write_bytes(modelfile.embed(model, swapped))
    with pytest.raises(ParityError, match=r"calls its labels indecent, decent, .* convert the run"):
        report_of(trained, path, images)


def test_weights_that_the_file_lacks_let_the_probabilities_decide(
    trained: Trained, images: list[Path], tmp_path: Path
) -> None:
    def move(_name: str, values: Any) -> None:
        if values.shape == (32, 1280):
            values[...] = values.astype(np.float16)

    path = changed(trained, tmp_path / "m.onnx", move)
    report = report_of(trained, path, images, generated=True)
    assert report.weights is not None
    assert not report.weights.complete
    assert report.comparisons[0].tolerance.difference == CPU.difference


def wrong_scaling(_name: str, values: Any) -> None:
    if values.size == 1 and values.dtype == np.float32 and values.item() == np.float32(1 / 255):
        values[...] = 1 / 256


def swapped_channels(_name: str, values: Any) -> None:
    if values.shape == (32, 3, 8, 8):
        values[...] = values[:, ::-1].copy()


@pytest.mark.parametrize("change", [wrong_scaling, swapped_channels])
def test_a_graph_with_other_features_is_refused(
    trained: Trained, images: list[Path], tmp_path: Path, change: Callable[[str, Any], Any]
) -> None:
    path = changed(trained, tmp_path / "m.onnx", change)
    with pytest.raises(ParityError) as caught:
        report_of(trained, path, images, generated=True).require(path)
    message = str(caught.value)
    assert "the run: from the same tensors on cpu (generated images), the features" in message
    assert "the weights, the scaling or the channel order differ; convert the run" in message
    assert len(message.splitlines()) == 6  # the five worst images below


@pytest.mark.parametrize("factor", [10, 1000])
def test_a_large_head_passes(
    trained: Trained, images: list[Path], tmp_path: Path, factor: float
) -> None:
    source = keras.load(trained.run)
    scale_head(source, trained.model, factor, tmp_path / "m.onnx")
    report = verify(tmp_path / "m.onnx", source.reference(), images, generated=True)
    report.require(tmp_path / "m.onnx")
    assert report.weights is not None
    assert report.weights.found == report.weights.tensors
    tensors, files = report.comparisons
    assert tensors.features is not None
    assert 0 < tensors.features.largest < 1e-4
    assert files.probability.largest <= 1e-4


def test_rounding_is_called_rounding(trained: Trained, images: list[Path]) -> None:
    reference = keras.load(trained.run).reference()
    strict = {"cpu": Tolerance(0, 0)}
    report = verify(trained.model, reference, images, generated=True, tolerances=strict)
    with pytest.raises(
        ParityError, match=r"the probabilities differ .* weights and features agree, so this is rou"
    ):
        report.require(trained.model)


def test_without_features_the_probabilities_decide(
    trained: Trained, images: list[Path], tmp_path: Path
) -> None:
    source = keras.load(trained.run)
    pixels = tf_keras.Input((224, 224, 3), dtype="uint8", name="image")
    nested = replace(source, model=tf_keras.Model(pixels, source.model(pixels)))
    reference = nested.reference()
    assert reference.with_features is None
    report = verify(trained.model, reference, images, generated=True)
    assert [c.tolerance for c in report.comparisons] == [CPU, CPU]
    report.require(trained.model)
    scaled = changed(trained, tmp_path / "m.onnx", wrong_scaling)
    with pytest.raises(
        ParityError, match=r"from the same tensors on cpu .* the probabilities diff"
    ):
        verify(scaled, reference, images, generated=True).require(scaled)


@pytest.mark.parametrize("generated", [True, False])
def test_different_resizing_is_refused_although_the_tensors_agree(
    trained: Trained, images: list[Path], tmp_path: Path, *, generated: bool
) -> None:
    model, manifest = modelfile.read(trained.model)
    other = replace(manifest, preprocess=replace(manifest.preprocess, interpolation="box"))
    path = tmp_path / "other.onnx"
    path.write_bytes(modelfile.embed(model, other))
    report = report_of(trained, path, images, generated=generated)
    assert [c.holds for c in report.comparisons] == [True, False]
    with pytest.raises(
        ParityError, match=r"the run: from the files on cpu.* the tensors agree, so"
    ):
        report.require(path)


def test_a_different_image_size_is_refused(trained: Trained, images: list[Path]) -> None:
    reference = keras.load(trained.run).reference()
    other = replace(reference, name="b1", preprocess=replace(reference.preprocess, size=240))
    with pytest.raises(ParityError, match="and b1 take images of different sizes"):
        verify(trained.model, other, images)


def test_unusable_images_are_listed(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (good,) = samples.make(tmp_path, 1)
    report = report_of(trained, trained.model, [tmp_path / "cut.png", good, tmp_path / "gone.jpg"])
    assert set(report.left_out) == {str(tmp_path / "cut.png"), str(tmp_path / "gone.jpg")}
    assert report.comparisons[0].images == 1
    with pytest.raises(ParityError, match="no image can be used to compare"):
        report_of(trained, trained.model, [tmp_path / "cut.png"])


@given(SCORES, SCORES)
def test_differences_match_their_definitions(
    a: np.ndarray[Any, np.dtype[np.float32]], b: np.ndarray[Any, np.dtype[np.float32]]
) -> None:
    found = compare("tensors", "cpu", CPU, 0.5, NAMES, a, b)
    apart = np.abs(a.astype(float) - b.astype(float))
    assert found.probability.largest == apart.max()
    assert found.probability.mean == pytest.approx(apart.mean())
    flagged = ([round(float(x), 6) >= 0.5 for x in scores] for scores in (a, b))
    assert found.flips == sum(x != y for x, y in zip(*flagged, strict=True))
    assert found.holds == (apart.max() <= 1e-4 and found.flips == 0)
    assert abs(found.worst[0][1] - found.worst[0][2]) == apart.max()


def test_decisions_are_those_of_a_scan() -> None:
    """A scan rounds 0.4999998 to 0.5."""
    a, b = np.array([[0.4999998, 0.4999998], [0.5, 0.4999994]], np.float32)
    assert compare("files", "cpu", Tolerance(1, 1), 0.5, NAMES[:2], a, b).flips == 1


def test_relative_errors_are_those_of_the_norm() -> None:
    a = np.array([[3, 4], [0, 2], [0, 0]], np.float32)
    b = np.array([[3, 4.5], [0, 2], [0, 0]], np.float32)
    assert relative_errors(a, b) == pytest.approx([0.1, 0, 0])
    scores = np.full(3, 0.5, np.float32)
    limits = Tolerance(1e-4, 0, features=0.05)
    found = compare("tensors", "cpu", limits, 0.5, NAMES[:3], scores, scores, (a, b))
    assert list(found.failures) == ["features"]
    missing = b * np.float32(np.nan)
    assert not compare("tensors", "cpu", limits, 0.5, NAMES[:3], scores, scores, (a, missing)).holds


def test_a_missing_score_exceeds_every_tolerance() -> None:
    scores = np.full(20, 0.5, np.float32)
    missing = np.where(np.arange(20) == 3, np.nan, scores).astype(np.float32)
    found = compare("files", "cpu", Tolerance(1, 1), 0.5, NAMES, scores, missing)
    assert not found.holds
    assert found.worst[0][0] == "3"


def test_flips_are_allowed_up_to_the_tolerance() -> None:
    a = np.full(20, 0.5, np.float32)
    b = np.where(np.arange(20) == 3, 0.4999, a).astype(np.float32)
    assert compare("files", "cuda-tf32", Tolerance(5e-3, 0.05), 0.5, NAMES, a, b).holds
    assert not compare("files", "cuda-tf32", Tolerance(5e-3, 0.04), 0.5, NAMES, a, b).holds
    assert not compare("files", "cuda-tf32", Tolerance(5e-5, 0.05), 0.5, NAMES, a, b).holds


def test_a_reference_without_finite_scores_is_refused(trained: Trained, images: list[Path]) -> None:
    source = keras.load(trained.run)
    broken = Reference(
        name="the run",
        preprocess=source.preprocess,
        score=lambda pixels: np.full(len(pixels), np.nan, np.float32),
    )
    with pytest.raises(
        ParityError, match=r"the run has no finite score for .*000\.png: its weights"
    ):
        verify(trained.model, broken, images)
