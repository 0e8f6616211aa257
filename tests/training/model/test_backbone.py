import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from backbones import efficientnet, small_backbone
from conftest import BuiltVariant

from nsfwtrain.errors import BackboneError
from nsfwtrain.model.backbone import fingerprint, load_backbone
from nsfwtrain.variants import by_name


@pytest.mark.slow
def test_parameter_counts_match_the_published_counts(variant: BuiltVariant) -> None:
    row = by_name(variant.name)
    assert json.loads((variant.run / "built.json").read_text()) == {
        "backbone_parameters": row.backbone_parameters,
        "parameters": row.parameters,
        "trainable_shapes": [[row.feature_dim, 1], [1]],
    }


@pytest.mark.slow
def test_generated_backbones_distinguish_images(tmp_path: Path) -> None:
    images = np.random.default_rng(1).uniform(0, 1, (4, 64, 64, 3)).astype(np.float32)
    images[1:] *= np.array([0.2, 0.5, 0.8]).reshape(3, 1, 1, 1)
    efficientnet("b0", 255 * images, tmp_path / "b0")
    layer = load_backbone(str(tmp_path / "b0"), 1280)
    assert np.ptp(layer(images).numpy(), axis=0).max() > 0.1


def test_the_error_for_an_unusable_backbone_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for handle in (str(tmp_path / "gone"), str(tmp_path / "empty")):
        with pytest.raises(BackboneError, match="give a SavedModel folder with --backbone, or set"):
            load_backbone(handle, 1280)


def test_the_backbone_of_another_variant_is_refused(tmp_path: Path) -> None:
    folder = small_backbone(tmp_path / "small", features=16)
    with pytest.raises(BackboneError, match=r"vectors of shape \(16,\), the variant has 1280"):
        load_backbone(str(folder), 1280)


def test_a_fingerprint_depends_only_on_the_content(tmp_path: Path) -> None:
    folder = small_backbone(tmp_path / "a", features=16)
    shutil.copytree(folder, tmp_path / "b")
    assert fingerprint(str(folder)) == fingerprint(str(tmp_path / "b"))
    (weights,) = (tmp_path / "b").rglob("*.data-00000-of-00001")
    data = bytearray(weights.read_bytes())
    data[100] ^= 1
    weights.write_bytes(data)
    assert fingerprint(str(folder)) != fingerprint(str(tmp_path / "b"))
    assert fingerprint("https://tfhub.dev/x/1") == "https://tfhub.dev/x/1"
