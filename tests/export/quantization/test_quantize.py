from pathlib import Path

import pytest
from conftest import Run
from graphs import SIZE, conv_model, make_blots
from helpers import mean_model

from nsfwexport import modelfile
from nsfwexport.comparison import Tolerance
from nsfwexport.contract import graph_violations, violations
from nsfwexport.errors import ConversionError, ParityError
from nsfwexport.original import Original
from nsfwexport.quantization.quantize import divide, quantize
from nsfwexport.quantization.search import Search
from nsfwscan import Classifier, InputError, InputSpec, Manifest, OutputSpec, Preprocess
from nsfwscan.reports.progress import no_progress


@pytest.fixture(scope="module")
def blots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write images of two kinds, once."""
    return make_blots(tmp_path_factory.mktemp("blots"))


@pytest.mark.slow
def test_a_model_of_ours_becomes_smaller_and_keeps_the_contract(
    tmp_path: Path, blots: list[Path]
) -> None:
    path, out = conv_model(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    report, candidates = quantize(path, out, blots)
    assert len(candidates) == 6
    smaller = Classifier.load(out)
    assert violations(smaller) == graph_violations(modelfile.read_graph(out)) == []
    assert out.stat().st_size < 0.6 * path.stat().st_size
    assert smaller.manifest.name == "conv-int8"
    assert smaller.manifest.source is not None
    assert Classifier.load(path).sha256 in smaller.manifest.source
    assert {c.images for c in report.comparisons} == {12}  # the others were calibrated on
    assert smaller.manifest.parity == report.facts()
    with pytest.raises(ConversionError, match=r"q\.onnx is in int8 precision already"):
        quantize(out, tmp_path / "again.onnx", blots)


@pytest.mark.slow
def test_a_layer_that_8_bits_spoil_stays_in_floats(tmp_path: Path, blots: list[Path]) -> None:
    path, out = conv_model(tmp_path / "m.onnx", sensitive=True), tmp_path / "q.onnx"
    _, candidates = quantize(path, out, blots, tolerances={"cpu": Tolerance(0.1, 0)})
    whole, partly = candidates[:6], candidates[6:]
    assert not any(candidate.comparison.holds for candidate in whole)
    assert {candidate.recipe.in_float for candidate in partly} == {("two",)}
    source = Classifier.load(out).manifest.source
    assert source is not None
    assert "1 layer in floats" in source


@pytest.mark.slow
def test_a_model_that_integers_spoil_is_refused_in_one_sentence(
    tmp_path: Path, blots: list[Path], run: Run
) -> None:
    path, out = conv_model(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    with pytest.raises(ParityError, match="INT8 does not keep the scores of"):
        quantize(path, out, blots, tolerances={"cpu": Tolerance(1e-9, 0)})
    done = run(
        "quantize", path, "-o", out, "--images", blots[0].parent, "--max-difference", "1e-9",
        program="nsfwexport",
    )  # fmt: skip
    assert done.returncode == 1
    sentence, *table = done.stderr.splitlines()
    assert "even in the closest of 8 ways" in sentence
    assert sentence.endswith(
        "nsfwexport quantize --weights-only makes a small file and keeps the speed"
    )
    assert len(table) == 9
    assert not out.exists()


@pytest.mark.slow
def test_a_foreign_model_becomes_self_contained(
    tmp_path: Path, blots: list[Path], run: Run
) -> None:
    conv_model(tmp_path / "m.onnx", foreign=True)
    manifest = Manifest(
        name="theirs",
        preprocess=Preprocess(size=SIZE, resize=20),
        input=InputSpec(
            name="planes", dtype="float32", layout="NCHW", scale=(1 / 255, 1 / 255, 1 / 255)
        ),
        output=OutputSpec(name="logits", column=1, activation="softmax"),
    )
    (tmp_path / "m.json").write_text(manifest.to_json())
    done = run(
        "quantize", "m.onnx", "-o", "q.onnx", "--manifest", "m.json", "--images", blots[0].parent,
        program="nsfwexport",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == [
        "candidate", "MB", "ms", "speed", "largest", "mean", "99", "%", "flips", "holds",
    ]  # fmt: skip
    smaller = Classifier.load(tmp_path / "q.onnx")
    assert smaller.manifest_origin == "embedded"
    assert smaller.manifest.preprocess == manifest.preprocess
    assert (smaller.manifest.input, smaller.manifest.output) == (manifest.input, manifest.output)
    assert smaller.manifest.name == "theirs-int8"


def test_images_are_divided_by_their_bytes(tmp_path: Path, blots: list[Path]) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(blots[0].read_bytes())
    calibration, held_out = divide([*blots, copy])
    assert (len(calibration), len(held_out)) == (12, 12)
    contents = [path.read_bytes() for path in (*calibration, *held_out)]
    assert len(set(contents)) == 24
    assert divide([*reversed(blots), blots[0]]) == divide(blots)
    with pytest.raises(InputError, match="15 different images are too few"):
        divide([*blots[:15], *blots[:15]])
    with pytest.raises(InputError, match=r"cannot read .*gone\.png: No such file"):
        divide([*blots, tmp_path / "gone.png"])


def test_a_model_of_one_layer_is_refused(tmp_path: Path, blots: list[Path]) -> None:
    path = mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    with pytest.raises(ConversionError, match="has no layer to convert to integers"):
        quantize(path, tmp_path / "q.onnx", blots)


def test_unreadable_images_are_no_calibration(tmp_path: Path, blots: list[Path]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    original = Original.load(conv_model(tmp_path / "m.onnx"))
    with pytest.raises(ConversionError, match=r"calibrate on: .*broken\.png: the content is not"):
        Search(original, [broken], blots, Tolerance(1, 1), no_progress)


def test_options_that_contradict_are_refused(run: Run, tmp_path: Path) -> None:
    conv_model(tmp_path / "m.onnx")
    done = run("quantize", "m.onnx", "-o", "q.onnx", program="nsfwexport")
    assert done.returncode == 2
    assert "INT8 is calibrated on photos of yours" in done.stderr
