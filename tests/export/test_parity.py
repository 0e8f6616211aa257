from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export.conftest import Trained
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nsfwexport import keras, modelfile, samples
from nsfwexport.comparison import TOLERANCES, Report, Tolerance, compare
from nsfwexport.convert import convert
from nsfwexport.errors import ParityError
from nsfwexport.keras import tf, tf_keras
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


def before(model: Any, change: Callable[[Any], Any]) -> Any:
    """Return a model that changes the pixels first."""
    pixels = tf_keras.Input((224, 224, 3), dtype="uint8", name="image")
    return tf_keras.Model(pixels, model(change(pixels)))


def wrong_scaling(model: Any) -> Any:
    return before(model, lambda x: tf.cast(tf.cast(x, tf.float32) * 0.9, tf.uint8))


def swapped_channels(model: Any) -> Any:
    return before(model, lambda x: tf.reverse(x, [-1]))


def shifted_weight(model: Any) -> Any:
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + 0.01])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("change", [wrong_scaling, swapped_channels, shifted_weight])
def test_a_changed_model_is_refused(
    trained: Trained, images: list[Path], tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    source = keras.load(trained.run)
    model = tmp_path / "other.onnx"
    convert(replace(source, model=change(source.model)), model)
    with pytest.raises(ParityError) as caught:
        report_of(trained, model, images).require(model)
    message = str(caught.value)
    assert "does not give the scores of the run: from the same tensors on cpu, prob" in message
    assert "the weights, the scaling or the channel order differ" in message
    assert len(message.splitlines()) == 6  # the five worst images below


def test_different_resizing_is_refused_although_the_tensors_agree(
    trained: Trained, images: list[Path], tmp_path: Path
) -> None:
    model, manifest = modelfile.read(trained.model)
    other = replace(manifest, preprocess=replace(manifest.preprocess, interpolation="box"))
    path = tmp_path / "other.onnx"
    path.write_bytes(modelfile.embed(model, other))
    report = report_of(trained, path, images)
    assert [c.holds for c in report.comparisons] == [True, False]
    with pytest.raises(
        ParityError, match=r"the run: from the files on cpu, .* the tensors agree, so"
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
    assert found.flips == sum((x >= 0.5) != (y >= 0.5) for x, y in zip(a, b, strict=True))
    assert found.holds == (apart.max() <= 1e-4 and found.flips == 0)
    assert abs(found.worst[0][1] - found.worst[0][2]) == apart.max()


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
