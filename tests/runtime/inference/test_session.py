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
def test_devices_are_known_by_their_names(device: str) -> None:
    check_device(device)
    assert gpu_index(device) == (12 if device == "cuda:12" else 0)


@pytest.mark.parametrize("device", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1000", "cpu:0"])
def test_other_names_are_refused_with_what_to_write(device: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda or cuda:N"):
        check_device(device)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU", "cuda:", ""])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda or cuda:N"):
        Classifier.load(device=device)


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has CUDA")
def test_without_cuda_an_explicit_gpu_fails_and_auto_takes_the_cpu(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS)
    with pytest.raises(DeviceError, match=r"was built without CUDA; .*onnxruntime-gpu"):
        Classifier.load(path, device="cuda")
    assert Classifier.load(path, device="auto").device == "cpu"


@pytest.mark.skipif(not HAS_CUDA, reason="needs ONNX Runtime with CUDA and a GPU")
def test_the_gpu_gives_the_cpu_s_scores(open_nsfw: Classifier) -> None:
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
def test_a_library_that_does_not_load_is_named_if_asked_for_and_noted_otherwise(
    tmp_path: Path,
) -> None:
    """An engine that says it has CUDA, beside a library of its own that is none."""
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
def test_of_a_failure_cuda_s_own_words_are_kept(said: str, kept: str) -> None:
    assert cuda_failure(said) == kept


def test_the_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_version() == f"onnxruntime {onnxruntime.__version__}"


@pytest.mark.parametrize("location", ["w.bin", "../w.bin", "absolute"])
def test_weights_in_another_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for folder in (tmp_path, here):
        (folder / "w.bin").write_bytes(np.array([1 / 255, 0, 0], np.float32).tobytes())
    monkeypatch.chdir(here)  # ONNX Runtime would look there
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
