"""Backbones in the hub's form, made in the test: SavedModels that `hub.KerasLayer` loads."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nsfwscan import Preprocess, decode
from nsfwtrain.model.backbone import load_backbone
from nsfwtrain.model.classifier import build_model, feature_function
from nsfwtrain.model.keras import tf, tf_keras
from nsfwtrain.variants import by_name


class HubModule(tf.__internal__.tracking.AutoTrackable):  # type: ignore[misc]  # no types
    """What the hub serves: ``__call__`` for both values of `training`, and three lists."""

    def __init__(self, call: Any, variables: list[Any]) -> None:
        super().__init__()
        self.variables = variables
        self.trainable_variables: list[Any] = []
        self.regularization_losses: list[Any] = []
        self.__call__ = tf.function(call)
        spec = tf.TensorSpec((None, None, None, 3), tf.float32)
        for training in (False, True):
            self.__call__.get_concrete_function(spec, training)


def save(call: Any, variables: list[Any], path: Path) -> Path:
    """Write a module as the hub would serve it."""
    tf.saved_model.save(HubModule(call, variables), str(path))
    return path


def small_backbone(path: Path, features: int = 1280) -> Path:
    """Write a backbone that is quick: one layer of random filters, and random mixes of them."""
    rng = np.random.default_rng(0)
    filters = tf.Variable(rng.normal(0, 0.5, (8, 8, 3, 32)).astype(np.float32), name="filters")
    mixes = tf.Variable(rng.normal(0, 1, (32, features)).astype(np.float32), name="mixes")

    def call(inputs: Any, training: Any = False) -> Any:
        found = tf.tanh(tf.nn.conv2d(inputs - 0.5, filters, 8, "VALID"))
        return tf.tanh(tf.reduce_mean(found, axis=(1, 2)) @ mixes)

    return save(call, [filters, mixes], path)


def hungry_backbone(path: Path, fits: int, features: int = 1280) -> Path:
    """Write a backbone that runs out of memory, really, where a batch is larger than fits."""
    weights = np.random.default_rng(0).normal(0, 3, (3, features)).astype(np.float32)
    kernel = tf.Variable(weights)

    def call(inputs: Any, training: Any = False) -> Any:
        too_many = tf.shape(inputs)[0] > fits
        size = tf.where(too_many, tf.constant(2**47, tf.int64), 1)
        scratch = tf.random.uniform([size], maxval=1e-30)  # what is random is not folded away
        colours = tf.reduce_mean(inputs, axis=(1, 2)) - 0.5
        return tf.tanh(colours @ kernel) + tf.reduce_max(scratch)

    return save(call, [kernel], path)


def efficientnet(name: str, size: int, path: Path, images: Any = None) -> Path:
    """Write an EfficientNet of random weights whose statistics fit some images.

    Always the same one. Its residual branches count for little, as in a trained one: otherwise
    each block magnifies the rounding of the one before, by how much is the weights' luck, and
    a deep network is chaos.

    The hub's module takes [0, 1] and lacks the 7 parameters of Keras' normalisation layer. Fresh
    statistics would give every image the same features (see `BatchNormalization.momentum`);
    statistics of other images would let rounding errors grow from layer to layer.

    Parameters
    ----------
    name, size
        Of the variant.
    path
        Where to.
    images
        float32 (N, S, S, 3), 0-255; None is noise.
    """
    tf_keras.utils.set_random_seed(2)
    build = getattr(tf_keras.applications, f"EfficientNet{name.upper()}")
    app = build(weights=None, include_top=False, pooling="avg", input_shape=(None, None, 3))
    added = {layer.name.removesuffix("add") for layer in app.layers if layer.name.endswith("_add")}
    for layer in app.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if layer.name.removesuffix("project_bn") in added:
                layer.gamma.assign(0.1 * layer.gamma)
    if images is None:
        noise = np.random.default_rng(0).uniform(0, 255, (8, size // 8, size // 8, 3))
        images = tf.image.resize(noise.astype(np.float32), (size, size))
    app(images, training=True)
    extra = {v.ref() for layer in app.layers if layer.name.startswith("normalization")
             for v in layer.weights}  # fmt: skip
    variables = [v for v in app.weights if v.ref() not in extra]

    def call(inputs: Any, training: Any = False) -> Any:
        return app(inputs * 255.0, training=False)

    return save(call, variables, path)


def spread_run(name: str, folder: Path, images: Path) -> None:
    """Write a run of a variant with random weights, as training leaves it, that tells much apart.

    The head is fitted so that its scores on the images go from 0.018 to 0.982: a model that says
    0.5 of everything would pass any comparison.
    """
    row = by_name(name)
    preprocess = Preprocess(size=row.image_size)
    pixels = [decode(p.read_bytes(), preprocess).pixels for p in sorted(images.iterdir())]
    some = np.concatenate(pixels).astype(np.float32)
    backbone = efficientnet(name, row.image_size, folder.with_name(f"{name}-backbone"), some)
    layer = load_backbone(str(backbone), row.feature_dim)
    features = feature_function(row.image_size, layer)
    rows = np.concatenate([features(tf.constant(one)) for one in pixels])
    # Along the first principal component the images differ most, and rounding counts least.
    kernel = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2][:1].T
    logits = rows @ kernel
    scale = 8 / np.ptp(logits)
    bias = -scale * (logits.max() + logits.min()) / 2
    head = ((scale * kernel).astype(np.float32), np.array([bias], np.float32))
    model = build_model(row.image_size, layer, head)
    model.save(folder / "model", save_format="tf", include_optimizer=False)
    facts = {"variant": name, "preprocess": vars(preprocess), "parameters": model.count_params()}
    (folder / "run.json").write_text(json.dumps(facts))
