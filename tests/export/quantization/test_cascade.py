import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from graphs import conv_model, make_blots
from helpers import mean_model
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwexport import modelfile
from nsfwexport.errors import ConversionError, ParityError
from nsfwexport.quantization.cascade import (
    LEAST,
    Scored,
    cascade,
    chosen_band,
    effect,
    needed_band,
    rounded_up,
)
from nsfwscan import Classifier, InputError, Manifest, OutputSpec, Preprocess, scan
from nsfwscan.decision import is_flagged
from nsfwscan.inference.cascade import Cascade, log_odds
from nsfwscan.inference.operating import Level, OperatingPoint

PHOTOS = 24
NAMED: tuple[tuple[float, Level | None], ...] = ((0.3, "sensitive"), (0.5, "balanced"), (0.9, None))
POINTS = tuple(
    OperatingPoint(threshold=threshold, name=name, measured_on="none", by="these tests")
    for threshold, name in NAMED
)
MANIFEST = Manifest(name="red", preprocess=Preprocess(size=8), operating_points=POINTS)


def write_model(path: Path, manifest: Manifest, weight: float = 1.0) -> Path:
    """Write a model whose score is the mean redness in [0, 1], times `weight`."""
    mean_model(path, weights=((weight / 255,), (0.0,), (0.0,)))
    path.write_bytes(modelfile.embed(modelfile.read_graph(path), manifest))
    return path


def write_photos(folder: Path, count: int = PHOTOS) -> list[Path]:
    """Write images with scores of the original from 0.02 to 0.98."""
    folder.mkdir()
    paths = [folder / f"{i:02}.png" for i in range(count)]
    for path, level in zip(paths, np.linspace(5, 250, count), strict=True):
        Image.new("RGB", (9, 9), (int(level), 0, 0)).save(path)
    return paths


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m.onnx", MANIFEST)


@pytest.fixture
def fast(tmp_path: Path) -> Path:
    """Write a model whose scores are lower, so that images above the thresholds are missed."""
    manifest = replace(MANIFEST, name="red-int8", source="red, converted")
    return write_model(tmp_path / "q.onnx", manifest, weight=0.8)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return write_photos(tmp_path / "photos")


SCORES = st.floats(0, 1).map(lambda score: round(score, 6))
THRESHOLDS = st.lists(st.floats(0, 1) | SCORES, min_size=1, max_size=4)


@st.composite
def scored_images(draw: st.DrawFn) -> Scored:
    """Draw scores of both models."""
    pairs = draw(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=30))
    fast, original = zip(*pairs, strict=True)
    return Scored(paths=("any",) * len(pairs), fast=fast, original=original)


@given(scored_images(), THRESHOLDS)
def test_with_the_chosen_band_no_decision_differs(scored: Scored, thresholds: list[float]) -> None:
    needed = needed_band(scored, thresholds)
    band = chosen_band(needed)
    assert band >= max(LEAST, 2 * needed)
    assert band == round(band, 1)
    for threshold in thresholds:
        low, high = Cascade(model="0" * 64, band=band).interval([threshold])
        for fast, original in zip(scored.fast, scored.original, strict=True):
            final = original if low <= fast <= high else fast
            assert is_flagged(final, threshold) == is_flagged(original, threshold)


@given(scored_images(), THRESHOLDS)
def test_a_smaller_band_than_the_needed_one_is_too_small(
    scored: Scored, thresholds: list[float]
) -> None:
    needed = needed_band(scored, thresholds)
    for band, enough in ((rounded_up(needed) + 0.1, True), (needed - 1e-3, False)):
        if band > 0:
            joined = Cascade(model="0" * 64, band=band)
            left = [effect(scored, joined, threshold, ()).remaining for threshold in thresholds]
            assert (not any(left)) is enough


def test_the_chosen_band_holds_and_is_in_the_file(
    tmp_path: Path, model: Path, fast: Path, photos: list[Path]
) -> None:
    out = tmp_path / "c.onnx"
    verdict = cascade(model, fast, out, photos)
    joined = Classifier.load(out)
    assert joined.manifest.cascade == Cascade(
        model=Classifier.load(model).sha256, band=verdict.band
    )
    before = Classifier.load(fast).manifest
    assert replace(joined.manifest, digest=None, cascade=None) == replace(before, digest=None)
    assert joined.manifest.digest not in {None, before.digest}

    scores = {}
    for path in (out, model):
        records = list(scan(photos[0].parent, Classifier.load(path)))
        scores[path] = [record.score for record in records if record.score is not None]
    assert len(scores[out]) == verdict.images == PHOTOS
    assert [one.threshold for one in verdict.effects] == [0.5, 0.3]
    assert [one.names for one in verdict.effects] == [("default", "balanced"), ("sensitive",)]
    for one in verdict.effects:
        low, high = joined.manifest.cascade.interval([one.threshold])
        again = [low <= score <= high for score in scores[out]]
        pairs = list(zip(scores[out], scores[model], strict=True))
        apart = [is_flagged(a, one.threshold) != is_flagged(b, one.threshold) for a, b in pairs]
        assert sum(apart) == len(one.differing) > 0
        assert sum(again) == one.again < PHOTOS
        assert one.remaining == ()
        assert all(scored for scored, differs in zip(again, apart, strict=True) if differs)
    with_both = scan(photos[0].parent, Classifier.load(model), fast=joined)
    assert [record.status for record in with_both] == [
        "flagged" if is_flagged(score, 0.5) else "safe" for score in scores[model]
    ]
    furthest = max(
        abs(log_odds(scores[out][i]) - log_odds(one.threshold))
        for one in verdict.effects
        for i in one.differing
    )
    assert verdict.needed == furthest
    assert verdict.band == max(LEAST, rounded_up(2 * furthest))


def test_a_pair_without_a_difference_has_the_least_band(
    tmp_path: Path, model: Path, photos: list[Path]
) -> None:
    same = write_model(tmp_path / "same.onnx", replace(MANIFEST, name="same"))
    verdict = cascade(model, same, tmp_path / "c.onnx", photos)
    assert (verdict.needed, verdict.band) == (0, LEAST)


def test_the_original_is_no_fast_copy_of_itself(
    tmp_path: Path, model: Path, photos: list[Path]
) -> None:
    with pytest.raises(ConversionError, match=r"m\.onnx is the original itself; give the file of"):
        cascade(model, model, tmp_path / "c.onnx", photos)


def test_a_band_that_is_too_small_is_refused_with_the_needed_one(
    tmp_path: Path, model: Path, fast: Path, photos: list[Path]
) -> None:
    out = tmp_path / "c.onnx"
    needed = cascade(model, fast, out, photos).needed
    before = out.read_bytes()
    with pytest.raises(ParityError, match=r"with a band of 0\.01, \d of 24 decisions") as refused:
        cascade(model, fast, out, photos, band=0.01)
    assert f"a band of {rounded_up(needed):g} is needed" in str(refused.value)
    assert out.read_bytes() == before
    assert not cascade(model, fast, out, photos, band=rounded_up(needed)).chosen
    assert out.read_bytes() != before


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"preprocess": Preprocess(size=8, resize=10)}, "preprocess"),
        ({"labels": ("no", "yes")}, "labels"),
        (
            {"labels": ("no", "yes"), "output": OutputSpec(classes=("red",))},
            "labels and output",
        ),
    ],
)
def test_models_with_another_contract_are_refused(
    tmp_path: Path, model: Path, photos: list[Path], change: dict[str, Any], what: str
) -> None:
    other = write_model(tmp_path / "other.onnx", replace(MANIFEST, **change))
    said = rf"other\.onnx is no fast copy of .*m\.onnx: their manifests differ in {what}; make it"
    with pytest.raises(ConversionError, match=said):
        cascade(model, other, tmp_path / "c.onnx", photos)
    assert not (tmp_path / "c.onnx").exists()


def test_copies_and_damaged_files_do_not_count(
    tmp_path: Path, model: Path, fast: Path, photos: list[Path]
) -> None:
    damaged, text = tmp_path / "photos" / "damaged.png", tmp_path / "photos" / "read.me"
    damaged.write_bytes(photos[0].read_bytes()[:40])
    text.write_text("no image")
    few = [*photos[:15], damaged, text]
    copy = tmp_path / "photos" / "copy.png"
    copy.write_bytes(photos[0].read_bytes())
    with pytest.raises(InputError, match="15 different images are too few to choose a band on"):
        cascade(model, fast, tmp_path / "c.onnx", [*few, copy])
    verdict = cascade(model, fast, tmp_path / "c.onnx", [*few, copy, photos[15]])
    assert verdict.images == 16
    assert list(verdict.left_out) == [str(damaged)]


@pytest.mark.slow
def test_the_command_prints_the_verdict(
    tmp_path: Path, run: Run, model: Path, fast: Path, photos: list[Path]
) -> None:
    (tmp_path / "photos" / "damaged.png").write_bytes(photos[0].read_bytes()[:40])
    words = ("cascade", model.name, fast.name, "--images", "photos", "-o", "c.onnx")
    done = run(*words, program="nsfwexport")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("nsfwexport: left out: photos/damaged.png: ")
    line, heading, default, sensitive = done.stdout.splitlines()
    band = Classifier.load(tmp_path / "c.onnx").manifest.cascade
    assert band is not None
    assert line.startswith(f"24 images, a band of {band.band:g} in log-odds: 2 times what these")
    assert heading.split("  ")[0] == "threshold"
    assert default.startswith("0.5 (default, balanced)")
    assert sensitive.startswith("0.3 (sensitive)")

    done = run(*words, "--band", "9", "--format", "json", program="nsfwexport")
    found = json.loads(done.stdout)
    assert (found["images"], found["band"]) == (24, 9)
    assert [one["scored_again"] for one in found["thresholds"]] == [24, 24]
    done = run(*words, "--band", "9", "--format", "markdown", program="nsfwexport")
    assert done.stdout.splitlines()[-1].startswith("| 0.3 (sensitive) | ")
    assert done.stdout.splitlines()[-1].endswith(" | 24 | 100.0% |")


@pytest.mark.slow
def test_the_command_refuses_bands(
    tmp_path: Path, run: Run, model: Path, fast: Path, photos: list[Path]
) -> None:
    words = ("cascade", model.name, fast.name, "--images", "photos", "-o", "c.onnx")
    for band in ("0", "nan"):
        done = run(*words, "--band", band, program="nsfwexport")
        assert done.returncode == 2
        assert "--band must be a finite number above 0" in done.stderr
    done = run(*words, "--band", "0.001", program="nsfwexport")
    assert done.returncode == 1
    assert done.stderr.startswith("nsfwexport: with a band of 0.001, ")
    assert " decisions differ at the threshold 0.5, such as photos/" in done.stderr
    assert done.stderr.count("\n") == 1
    done = run(*words[:-1], fast.name, program="nsfwexport")
    assert done.returncode == 2
    assert not (tmp_path / "c.onnx").exists()


@pytest.mark.slow
def test_what_quantize_wrote_becomes_a_cascade(tmp_path: Path, run: Run) -> None:
    make_blots(tmp_path / "blots", 40)
    conv_model(tmp_path / "m.onnx")
    folder = ("--images", "blots")
    done = run("quantize", "m.onnx", "-o", "q.onnx", *folder, program="nsfwexport")
    assert done.returncode == 0, done.stderr
    done = run("cascade", "m.onnx", "q.onnx", "-o", "c.onnx", *folder, program="nsfwexport")
    assert done.returncode == 0, done.stderr
    joined = Classifier.load(tmp_path / "c.onnx").manifest.cascade
    assert joined is not None
    assert joined.model == Classifier.load(tmp_path / "m.onnx").sha256
    assert run("check", "c.onnx", program="nsfwexport").returncode == 0
