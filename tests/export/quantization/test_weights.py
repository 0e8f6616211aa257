from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from graphs import conv_model, make_blots
from helpers import mean_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nsfwexport import modelfile
from nsfwexport.contract import violations
from nsfwexport.errors import ConversionError
from nsfwexport.quantization.weights import store_as_integers, to_integers, weights_only
from nsfwscan import Classifier, Manifest, Preprocess


@given(
    hnp.arrays(np.float32, (3, 4, 2), elements=st.floats(-100, 100, width=32)),
    st.sampled_from([0, 1, -1]),
)
def test_integers_times_scales_are_the_weights_to_half_a_scale(
    weights: NDArray[np.float32], axis: int
) -> None:
    integers, scales = to_integers(weights, axis)
    assert integers.dtype == np.int8
    assert scales.dtype == np.float32
    assert scales.size == weights.shape[axis]
    assert np.all(np.abs(integers * scales - weights) <= scales * 0.501 + np.finfo(np.float32).tiny)
    assert np.abs(integers.astype(int)).max() <= 127


def test_large_weights_are_stored_as_integers_and_small_ones_kept(tmp_path: Path) -> None:
    model = modelfile.read_graph(conv_model(tmp_path / "m.onnx"))
    before = model.SerializeToString()
    smaller = store_as_integers(model)
    assert model.SerializeToString() == before
    assert smaller is not None
    names = {tensor.name for tensor in smaller.graph.initializer}
    assert {"w2:int8", "w2:scales", "w1", "w3", "head"} <= names
    assert "w2" not in names
    assert modelfile.precision_of(smaller) == "int8 weights"
    assert modelfile.parameters(smaller) == modelfile.parameters(model)


@pytest.mark.slow
def test_the_file_is_small_and_keeps_the_scores(run: Run, tmp_path: Path) -> None:
    conv_model(tmp_path / "m.onnx")
    make_blots(tmp_path / "blots")
    done = run(
        "quantize", "m.onnx", "--weights-only", "-o", "q.onnx", "--images", "blots",
        program="nsfwexport",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "q.onnx").stat().st_size < 0.5 * (tmp_path / "m.onnx").stat().st_size
    smaller = Classifier.load(tmp_path / "q.onnx")
    assert violations(smaller) == []
    assert smaller.manifest.name == "conv-int8-weights"
    assert run("check", "q.onnx", program="nsfwexport").returncode == 0


def test_a_model_without_large_weights_is_refused(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    with pytest.raises(ConversionError, match="has no weights of 10,000 values or more"):
        weights_only(path, tmp_path / "q.onnx")
