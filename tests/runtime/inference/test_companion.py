import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import PHOTOS, mean_model

from nsfwscan import (
    Cache,
    Classifier,
    InputSpec,
    Manifest,
    ModelError,
    OutputSpec,
    Preprocess,
    Record,
    scan,
)
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.companion import BUILT_IN, cascade_of, load_companion
from nsfwscan.inference.known import COMPANION_SHA256, OPEN_NSFW_SHA256

MANIFEST = Manifest(name="m", preprocess=Preprocess(size=8))
REDDER = ((1.2 / 255,), (0.0,), (0.0,))


@pytest.fixture
def original(tmp_path: Path) -> Classifier:
    """Return a model that sees red."""
    return Classifier.load(mean_model(tmp_path / "original.onnx", MANIFEST))


def fast(original: Classifier, **changes: Any) -> Classifier:
    """Return a fast model, which sees a little more red."""
    cascade = Cascade(model=original.sha256, band=1.0)
    given: dict[str, Any] = {"name": "fast", "cascade": cascade}
    manifest = replace(MANIFEST, **(given | changes))
    return Classifier.load(
        mean_model(original.path.with_name("fast.onnx"), manifest, weights=REDDER)
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cascade": None}, "states no original in its manifest"),
        (
            {"cascade": Cascade(model="a" * 64, band=1.0)},
            "was made from the model aaaaaaaaaaaa, and ",
        ),
        ({"preprocess": Preprocess(size=8, fit="shorter-side")}, "differ in preprocess"),
        ({"labels": ("indecent", "decent")}, "differ in labels"),
        ({"input": InputSpec(channels="BGR")}, "differ in input"),
        ({"output": OutputSpec(activation="sigmoid")}, "differ in output"),
    ],
)
def test_models_that_do_not_belong_together_are_refused(
    original: Classifier, changes: dict[str, Any], said: str
) -> None:
    other = fast(original, **changes)
    with pytest.raises(ModelError, match=said):
        cascade_of(original, other)
    with pytest.raises(ModelError, match=said):
        scan([], original, fast=other)


def scored(records: Iterable[Record]) -> dict[str, Record]:
    return {Path(record.path).name: record for record in records}


def test_a_cascade_decides_as_its_original(original: Classifier, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for level in range(0, 213, 4):
        Image.new("RGB", (8, 8), (level, 0, 0)).save(tmp_path / "photos" / f"{level}.png")
    low, high = Cascade(model="a" * 64, band=1.0).interval([0.5])
    with Cache(tmp_path / "cache") as cache:
        expected = scored(scan(tmp_path / "photos", original))
        first = scored(scan(tmp_path / "photos", original, fast=fast(original), cache=cache))
        again = scored(scan(tmp_path / "photos", original, fast=fast(original), cache=cache))
        alone = scored(scan(tmp_path / "photos", original, cache=cache))
    assert {one.precision for one in expected.values()} == {None}
    for name, record in first.items():
        rough = 1.2 * (expected[name].score or 0)
        within = low <= rough <= high
        assert record.precision == ("full" if within else "reduced")
        assert record.score == pytest.approx(expected[name].score if within else rough, abs=1e-6)
        assert record.status == expected[name].status
        assert record.model == original.sha256[:12]
        assert again[name] == replace(record, cached=True)
        assert alone[name] == replace(expected[name], cached=within)  # what it scored in full
    assert {one.precision for one in first.values()} == {"full", "reduced"}


def test_the_review_band_is_scored_in_full(original: Classifier, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), (128, 0, 0)).save(tmp_path / "half.png")
    (record,) = scan(
        tmp_path / "half.png", original, fast=fast(original), threshold=0.1, uncertain_below=0.9
    )
    assert (record.precision, record.uncertain) == ("full", True)


def test_the_built_in_file_is_the_one_that_was_measured() -> None:
    data = BUILT_IN.read_bytes()
    assert hashlib.sha256(data).hexdigest() == COMPANION_SHA256
    assert len(data) <= 8_000_000
    cascade = load_companion(None).manifest.cascade
    assert cascade is not None
    assert cascade.model == OPEN_NSFW_SHA256
    assert "Yahoo" in (BUILT_IN.parent / "LICENSE").read_text()


@pytest.mark.slow
def test_the_built_in_file_decides_as_the_default_model() -> None:
    model = Classifier.load(device="cpu")
    photos = [path for path in PHOTOS.iterdir() if path.suffix in {".png", ".jpg"}]
    expected = scored(scan(photos, model))
    for name, record in scored(scan(photos, model, fast=load_companion(None))).items():
        assert record.status == expected[name].status
        assert record.precision in {"full", "reduced"}
        assert record.score == pytest.approx(expected[name].score, abs=0.1)


def test_a_damaged_built_in_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(BUILT_IN.read_bytes()[:-1000])
    monkeypatch.setattr("nsfwscan.inference.companion.BUILT_IN", cut)
    with pytest.raises(ModelError, match=r"cut\.onnx is damaged; install nsfwscan again"):
        load_companion(None)
