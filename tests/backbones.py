"""Backbones in the form of the hub: SavedModels that `hub.KerasLayer` loads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan import Preprocess, decode
from nsfwtrain.model.backbone import load_backbone
from nsfwtrain.model.classifier import build_model
from nsfwtrain.model.keras import tf, tf_keras
from nsfwtrain.variants import by_name


def swish(x: Any) -> Any:
    """Compute x * sigmoid(x), without the custom gradient of `tf.nn.silu`.

    Saving a model traces each custom gradient, which takes longer than everything else.
    """
    return x * tf.sigmoid(x)


class HubModule(tf.__internal__.tracking.AutoTrackable):  # type: ignore[misc]  # no types
    """A module as the hub serves it: ``__call__`` for both values of `training`, and three lists.

    `call` is traced once: both values of `training` call the same function.
    """

    def __init__(self, call: Any, variables: list[Any]) -> None:
        super().__init__()
        self.variables = variables
        self.trainable_variables: list[Any] = []
        self.regularization_losses: list[Any] = []
        spec = tf.TensorSpec((None, None, None, 3), tf.float32)
        inference = tf.function(call, [spec], autograph=False)
        self.__call__ = tf.function(lambda inputs, training=False: inference(inputs))  # noqa: ARG005
        for training in (False, True):
            self.__call__.get_concrete_function(spec, training)


def save(call: Any, variables: list[Any], path: Path) -> Path:
    """Write a module as the hub would serve it.

    Parameters
    ----------
    call
        From float32 (N, H, W, 3) in [0, 1] to float32 (N, features).
    variables
        The variables that it reads.
    path
        The folder to write.
    """
    tf.saved_model.save(HubModule(call, variables), str(path))
    return path


def small_backbone(path: Path, features: int = 1280) -> Path:
    """Write a fast backbone: one layer of random filters, and random mixes of their outputs."""
    rng = np.random.default_rng(0)
    filters = tf.Variable(rng.normal(0, 0.5, (8, 8, 3, 32)).astype(np.float32), name="filters")
    mixes = tf.Variable(rng.normal(0, 1, (32, features)).astype(np.float32), name="mixes")

    def call(inputs: Any) -> Any:
        found = tf.tanh(tf.nn.conv2d(inputs - 0.5, filters, 8, "VALID"))
        return tf.tanh(tf.reduce_mean(found, axis=(1, 2)) @ mixes)

    return save(call, [filters, mixes], path)


def hungry_backbone(path: Path, fits: int, features: int = 1280) -> Path:
    """Write a backbone that really runs out of memory if a batch has more than `fits` images."""
    weights = np.random.default_rng(0).normal(0, 3, (3, features)).astype(np.float32)
    kernel = tf.Variable(weights)

    def call(inputs: Any) -> Any:
        too_many = tf.shape(inputs)[0] > fits
        size = tf.where(too_many, tf.constant(2**47, tf.int64), 1)
        scratch = tf.random.uniform([size], maxval=1e-30)  # constants would be folded
        colours = tf.reduce_mean(inputs, axis=(1, 2)) - 0.5
        return tf.tanh(colours @ kernel) + tf.reduce_max(scratch)

    return save(call, [kernel], path)


def efficientnet(name: str, images: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Write an EfficientNet with random weights and the statistics of some images.

    The weights are the same in every run. The residual branches are scaled down, as training
    leaves them: in a deep network of unscaled random blocks, each block amplifies the rounding
    errors of the one before. The normalisation statistics are those of `images` for two reasons:
    with initial statistics all images get the same features (see `BatchNormalization.momentum`),
    and with those of other images rounding errors grow from layer to layer.

    Like the hub's module, it takes [0, 1] and lacks the 7 parameters of Keras' normalisation
    layer.

    Parameters
    ----------
    name
        The variant, such as ``b0``.
    images
        float32 (N, S, S, 3), 0-255.
    path
        The folder to write.

    Returns
    -------
    numpy.ndarray
        float32 (N, features): the features of the images, normalised by their own statistics.
        They differ from the written module's by the sample correction of the variances.
    """
    tf_keras.utils.set_random_seed(2)
    build = getattr(tf_keras.applications, f"EfficientNet{name.upper()}")
    app = build(weights=None, include_top=False, pooling="avg", input_shape=(None, None, 3))
    added = {layer.name.removesuffix("add") for layer in app.layers if layer.name.endswith("_add")}
    for layer in app.layers:
        if getattr(layer, "activation", None) is tf_keras.activations.swish:
            layer.activation = swish
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if layer.name.removesuffix("project_bn") in added:
                layer.gamma.assign(0.1 * layer.gamma)
    features: NDArray[np.float32] = app(images, training=True).numpy()
    extra = {v.ref() for layer in app.layers if layer.name.startswith("normalization")
             for v in layer.weights}  # fmt: skip
    variables = [v for v in app.weights if v.ref() not in extra]
    save(lambda inputs: app(inputs * 255.0, training=False), variables, path)
    return features


def spread_run(name: str, folder: Path, images: Path) -> None:
    """Write a run of a variant, as training leaves it, whose scores of some images differ widely.

    The weights are random. The head is fitted so that the scores of the images range from 0.018
    to 0.982: a model that gives 0.5 for every image would pass any comparison. ``built.json``
    holds the numbers of parameters.

    Parameters
    ----------
    name
        The variant, such as ``b0``.
    folder
        The run folder to write.
    images
        A folder of image files.
    """
    row = by_name(name)
    preprocess = Preprocess(size=row.image_size)
    pixels = [decode(p.read_bytes(), preprocess).pixels for p in sorted(images.iterdir())]
    backbone = folder.with_name(f"{name}-backbone")
    rows = efficientnet(name, np.concatenate(pixels).astype(np.float32), backbone)
    layer = load_backbone(str(backbone), row.feature_dim)
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
    built = {
        "backbone_parameters": layer.count_params(),
        "parameters": model.count_params(),
        "trainable_shapes": [weight.shape.as_list() for weight in model.trainable_weights],
    }
    (folder / "built.json").write_text(json.dumps(built))
