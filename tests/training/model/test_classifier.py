from pathlib import Path

import numpy as np
import pytest
from backbones import small_backbone
from labelled import Collection

from nsfwtrain.errors import RunError
from nsfwtrain.model.backbone import load_backbone
from nsfwtrain.model.classifier import (
    build_model,
    feature_function,
    load_model,
    save_model,
)
from nsfwtrain.model.head import initial_head
from nsfwtrain.model.keras import tf


def test_the_model_applies_backbone_then_head(tmp_path: Path) -> None:
    layer = load_backbone(str(small_backbone(tmp_path / "small", features=16)), 16)
    kernel, bias = initial_head(16, seed=3)
    model = build_model(24, layer, (kernel, bias + 0.5))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), np.uint8)
    features = feature_function(24, layer)(tf.constant(pixels)).numpy()
    expected = 1 / (1 + np.exp(-(features @ kernel + bias + 0.5)))
    assert np.abs(model(pixels).numpy() - expected).max() < 1e-6
    assert model.input_shape == (None, 24, 24, 3)
    assert model.inputs[0].dtype == "uint8"
    assert [layer.name for layer in model.layers][-1] == "probability"


def test_first_weights_depend_only_on_the_seed() -> None:
    same, again, other = initial_head(16, 1), initial_head(16, 1), initial_head(16, 2)
    assert np.array_equal(same[0], again[0])
    assert not np.array_equal(same[0], other[0])
    assert np.abs(same[0]).max() <= np.sqrt(6 / 17)
    assert same[1].tolist() == [0]


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no model that can be loaded"):
        load_model(tmp_path)


def test_an_unwritable_folder_is_an_error(tmp_path: Path, collection: Collection) -> None:
    model = build_model(16, load_backbone(str(collection.backbone), 1280), initial_head(1280, 0))
    (tmp_path / "run").touch()
    with pytest.raises(RunError, match=f"cannot write the model into {tmp_path}/run"):
        save_model(tmp_path / "run", model)
