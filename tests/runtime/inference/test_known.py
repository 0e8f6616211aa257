"""No known model can be downloaded here: graphs of the same form stand for them."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import encoded, load_photo, mean_model
from onnx import TensorProto
from PIL import Image

from nsfwscan import Classifier, Manifest, ManifestError, ModelError
from nsfwscan.inference import classifier
from nsfwscan.inference.known import BUILT_IN, KNOWN
from nsfwscan.inference.manifest import parse_manifest

WEIGHTS = ((0.9, -0.3, 0.4, 0.1, 0.7), (-0.5, 0.8, -0.2, 0.6, -0.9), (0.3, 0.1, 0.5, -0.7, 0.2))
"""Of up to five classes, for the means of red, green and blue."""

PIXELS = {  # size, mean and std, as their publishers write them
    "falconsai": (224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "marqo-384": (384, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "adamcodd": (384, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "freepik": (448, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "viddexa-nano": (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "nsfwjs-mobilenet": (224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "nsfwjs-inception": (299, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
SCORES = {  # how a score follows from the probabilities of the classes
    "falconsai": lambda p: p[1],
    "marqo-384": lambda p: p[0],
    "adamcodd": lambda p: p[1],
    "freepik": lambda p: p[1] + p[2] + p[3],
    "viddexa-nano": lambda p: p[1] + p[2] + p[3],
    "nsfwjs-mobilenet": lambda p: p[1] + p[3] + p[4],
    "nsfwjs-inception": lambda p: p[1] + p[3] + p[4],
}
FILTERS = {
    "falconsai": Image.Resampling.BILINEAR,
    "adamcodd": Image.Resampling.BILINEAR,
    "freepik": Image.Resampling.BICUBIC,
    "viddexa-nano": Image.Resampling.NEAREST,
    "nsfwjs-mobilenet": Image.Resampling.NEAREST,
    "nsfwjs-inception": Image.Resampling.NEAREST,
}


def model_like(path: Path, manifest: Manifest, *, batch: int | str = "N") -> Path:
    """Write a graph with the input and the classes of a known model."""
    size, columns = manifest.preprocess.size, len(manifest.output.classes)
    nchw = manifest.input.layout == "NCHW"
    # Where a manifest says that the output holds probabilities, small weights keep it in [0, 1].
    share = 0.02 if manifest.output.activation == "none" else 1.0
    return mean_model(
        path,
        input_name="pixel_values",
        output_name="logits",
        dtype=TensorProto.FLOAT,
        shape=(batch, 3, size, size) if nchw else (batch, size, size, 3),
        weights=[[share * value for value in row[:columns]] for row in WEIGHTS],
        bias=[0.1] * columns,
    )


def plain(name: str, image: Image.Image, columns: int) -> float:
    """Score an image as the publisher's library would, with this module's weights."""
    size, mean, std = PIXELS[name]
    if name == "marqo-384":  # of timm: the shorter side to 384, then the centre
        left, top = (image.width - min(image.size)) / 2, (image.height - min(image.size)) / 2
        box = (left, top, left + min(image.size), top + min(image.size))
        resized = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    else:
        resized = image.resize((size, size), FILTERS[name])
    means = ((np.asarray(resized) / 255 - mean) / std).mean((0, 1))
    share = 0.02 if name.startswith("nsfwjs") else 1.0
    out = share * (means @ np.array(WEIGHTS)[:, :columns]) + 0.1
    if share == 1.0:
        out = np.exp(out) / np.exp(out).sum()
    found: float = SCORES[name](out)
    return found


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_model_is_used_by_its_name(tmp_path: Path, name: str) -> None:
    path = model_like(tmp_path / "m.onnx", KNOWN[name], batch=1)
    model = Classifier.load(path, manifest=name)
    assert (model.manifest, model.manifest_origin) == (KNOWN[name], name)
    photo = load_photo("coffee.png")  # 600 x 400
    (score,) = model.score([encoded(photo, "PNG")])
    columns = len(KNOWN[name].output.classes)
    assert score == pytest.approx(plain(name, photo, columns), abs=1e-4)


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_manifest_says_what_is_known_of_the_model(name: str) -> None:
    manifest = KNOWN[name]
    assert parse_manifest(manifest.to_json(), name) == manifest
    assert manifest.licence in {"Apache-2.0", "MIT"}
    assert manifest.source is not None
    assert re.match(r"https://(huggingface\.co|github\.com)/\S+: ", manifest.source)
    assert [point.threshold for point in manifest.operating_points] in ([], [manifest.threshold])


@pytest.mark.parametrize("name", ["falconsai", "viddexa-nano"])
def test_a_name_for_another_model_is_refused(tmp_path: Path, name: str) -> None:
    path = model_like(tmp_path / "m.onnx", KNOWN["freepik"])
    with pytest.raises(ModelError, match=r"takes pixel_values: .*448, 448\], but its manifest has"):
        Classifier.load(path, manifest=name)


def test_a_file_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model_like(tmp_path / "m.onnx", KNOWN["falconsai"])
    monkeypatch.chdir(tmp_path)
    Path("falconsai").write_text("{}")
    with pytest.raises(ManifestError, match="falconsai: the manifest is invalid"):
        Classifier.load(path, manifest="falconsai")


def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    path = model_like(tmp_path / "m.onnx", KNOWN["falconsai"])
    with pytest.raises(ManifestError) as caught:
        Classifier.load(path, manifest="falcon")
    names = ", ".join(KNOWN)
    said = (
        f"cannot read the manifest falcon: No such file or directory; the known models are {names}"
    )
    assert str(caught.value) == said


def test_a_known_file_needs_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model_like(tmp_path / "m.onnx", KNOWN["adamcodd"])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(classifier, "BUILT_IN", {digest: KNOWN["adamcodd"]})
    model = Classifier.load(path)
    assert (model.manifest.name, model.manifest_origin) == (KNOWN["adamcodd"].name, "built in")


def test_the_digests_of_known_files_are_digests() -> None:
    names: Sequence[str] = [manifest.name for manifest in BUILT_IN.values()]
    assert "open_nsfw" in names
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in BUILT_IN)
