from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import RGB_PHOTOS, encoded, load_photo, mean_model
from onnx import TensorProto

from nsfwscan import (
    Classifier,
    DeviceError,
    Manifest,
    ModelError,
    Preprocess,
    decode,
)
from nsfwscan.inference.session import (
    check_device,
    cuda_failure,
    device_of,
    engine_version,
    gpu_index,
    open_session,
)

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_valid_devices_are_accepted(device: str) -> None:
    check_device(device)
    assert gpu_index(device) == (12 if device == "cuda:12" else 0)


@pytest.mark.parametrize("device", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1000", "cpu:0"])
def test_the_error_for_an_invalid_device_lists_the_valid_ones(device: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda or cuda:N"):
        check_device(device)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU", "cuda:", ""])
def test_loading_on_an_invalid_device_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda or cuda:N"):
        Classifier.load(device=device)


def relu(opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    shapes = [
        onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy"
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", shapes[:1], shapes[1:],
        [onnx.numpy_helper.from_array(np.ones((1, 3), np.float32), "w")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, ir_version=ir_version)
    model.opset_import[0].version = opset
    return model


def test_a_model_in_two_files_or_of_a_later_version_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(relu(), path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    sidecar = Manifest(name="m", preprocess=Preprocess(size=8)).to_json()
    (tmp_path / "m.json").write_text(sidecar)

    def refusal() -> str:
        with pytest.raises(ModelError) as caught:
            Classifier.load(path, manifest=tmp_path / "m.json", device="cpu")
        return str(caught.value)

    assert "weights are in another file, m.onnx.data; save the model as one file" in refusal()
    onnx.save(relu(opset=99), path)
    assert "its operator set has the version 99, and this ONNX Runtime knows up to" in refusal()
    onnx.save(relu(ir_version=99), path)
    assert "its format has the version 99, and this ONNX Runtime knows up to" in refusal()


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has CUDA")
def test_without_cuda_an_explicit_gpu_fails_and_auto_uses_the_cpu(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS)
    with pytest.raises(DeviceError, match=r"was built without CUDA; .*onnxruntime-gpu"):
        Classifier.load(path, device="cuda")
    assert Classifier.load(path, device="auto").device == "cpu"


@pytest.mark.skipif(not HAS_CUDA, reason="needs ONNX Runtime with CUDA and a GPU")
def test_the_gpu_and_the_cpu_give_the_same_scores(open_nsfw: Classifier) -> None:
    try:
        gpu = Classifier.load(device="cuda")
    except DeviceError as error:
        pytest.skip(f"no GPU: {error}")
    assert gpu.device == "cuda:0"
    preprocess = open_nsfw.manifest.preprocess
    batch = np.concatenate(
        [decode(encoded(load_photo(name), "PNG"), preprocess).pixels for name in RGB_PHOTOS]
    )
    assert np.abs(gpu.predict(batch) - open_nsfw.predict(batch)).max() <= 1e-4


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has CUDA")
def test_a_library_that_fails_to_load_is_an_error_for_cuda_and_a_note_for_auto(
    tmp_path: Path,
) -> None:
    """The engine claims to support CUDA, but its CUDA library is not a library."""
    runtime = SimpleNamespace(**vars(onnxruntime))
    runtime.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    runtime.__file__ = str(tmp_path / "__init__.py")
    library = tmp_path / "capi" / "libonnxruntime_providers_cuda.so"
    library.parent.mkdir()
    library.write_bytes(b"no library")
    path = mean_model(tmp_path / "m.onnx", OURS)
    with pytest.raises(DeviceError, match=rf"^cuda:0 does not start: .*{library.name}.*doctor"):
        open_session(runtime, path.read_bytes(), path, "cuda", 1, tf32=False)
    session, note = open_session(runtime, path.read_bytes(), path, "auto", 1, tf32=False)
    assert device_of(session) == "cpu"
    assert library.name in str(note)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "/src/info.cc:60 [ONNXRuntimeError] : 1 : CUDA failure 35: no driver ; GPU=-1 ; line=6",
            "CUDA failure 35: no driver",
        ),
        (
            "[ONNXRuntimeError] : 6 : CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0 ;",
            "CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED",
        ),
        ("something else; went wrong", "something else; went wrong"),
    ],
)
def test_cuda_s_message_is_extracted_from_a_failure(said: str, kept: str) -> None:
    assert cuda_failure(said) == kept


def test_the_engine_s_name_and_version_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_version() == f"onnxruntime {onnxruntime.__version__}"


@pytest.mark.parametrize("location", ["w.bin", "../w.bin", "absolute"])
def test_weights_in_another_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for folder in (tmp_path, here):
        (folder / "w.bin").write_bytes(np.array([1 / 255, 0, 0], np.float32).tobytes())
    monkeypatch.chdir(here)  # ONNX Runtime would search this folder
    mean_model(here / "m.onnx", OURS)
    model = onnx.load(here / "m.onnx")
    (weights,) = [tensor for tensor in model.graph.initializer if tensor.name == "weights"]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", str(here / "w.bin") if location == "absolute" else location
    (here / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx is not a usable ONNX model: "):
        Classifier.load("m.onnx")
