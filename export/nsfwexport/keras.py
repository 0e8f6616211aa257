"""Import TensorFlow without its log messages, and load trained Keras models."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwexport.errors import ConversionError
from nsfwexport.reference import Features, Reference, Scores
from nsfwexport.runs import check_file, read_facts, training_facts
from nsfwexport.weights import LastLayer
from nsfwscan import Preprocess
from nsfwscan.dataset.labels import DEFAULT_NAMES
from nsfwscan.dataset.runs import FACTS_FILE, MODEL_FOLDER
from nsfwscan.decoding.pixels import Pixels

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # failures raise exceptions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tensorflow_hub still imports pkg_resources
    import tensorflow as tf
    import tensorflow_hub as hub
    import tf_keras

tf.get_logger().setLevel("ERROR")

__all__ = ["KerasModel", "load", "sentence", "tf", "tf_keras"]

_BATCH = 4  # small, since a B7 is large


@dataclass(frozen=True, kw_only=True)
class KerasModel:
    """A loaded, trained model.

    Attributes
    ----------
    folder
        The folder that it was loaded from.
    variant
        The variant, such as ``b0``.
    model
        A `tf_keras` model from uint8 (N, S, S, 3), RGB, to the probability (N, 1) of label 1.
    preprocess
        The preprocessing that the model needs.
    labels
        The names of label 0 and label 1.
    training
        Facts of the training run; None for a model without a run.
    """

    folder: Path
    variant: str
    model: Any
    preprocess: Preprocess
    labels: tuple[str, str] = DEFAULT_NAMES
    training: dict[str, Any] | None

    def scorer(self) -> Callable[[Pixels], Scores]:
        """Return a function from uint8 (N, S, S, 3) to probabilities, float32 (N,)."""
        call = _in_batches(self.model)
        return lambda pixels: call(pixels)[0][:, 0]

    def reference(self) -> Reference:
        """Return the model as a reference for comparisons."""
        plain = Reference(
            name=str(self.folder),
            preprocess=self.preprocess,
            score=self.scorer(),
            weights=self.model.get_weights(),
            labels=self.labels,
        )
        last = self.model.layers[-1]
        if not _is_head(last) or last.output is not self.model.outputs[0]:
            return plain
        both = _in_batches(tf_keras.Model(self.model.inputs, [self.model.outputs[0], last.input]))

        def with_features(pixels: Pixels) -> tuple[Scores, Features]:
            scores, features = both(pixels)
            return scores[:, 0], features

        kernel, *biases = last.get_weights()
        head = LastLayer(kernel[:, 0], float(biases[0][0]) if biases else 0.0)
        others = plain.weights[: -1 - len(biases)]
        return replace(plain, with_features=with_features, head=head, weights=others)


def _is_head(layer: Any) -> bool:
    """Return whether a layer is a ``Dense(1, sigmoid)`` of vectors."""
    sigmoid = tf_keras.activations.sigmoid
    dense = isinstance(layer, tf_keras.layers.Dense) and layer.activation is sigmoid
    return dense and layer.units == 1 and len(layer.input.shape) == 2


def _in_batches(model: Any) -> Callable[[Pixels], list[NDArray[np.float32]]]:
    """Return a function from uint8 (N, S, S, 3) to the outputs of a Keras model."""
    call = tf.function(
        lambda pixels: tf.nest.flatten(model(pixels, training=False)), reduce_retracing=True
    )

    def run(pixels: Pixels) -> list[NDArray[np.float32]]:
        parts = [call(tf.constant(pixels[i : i + _BATCH])) for i in range(0, len(pixels), _BATCH)]
        return [np.concatenate([part.numpy() for part in of]) for of in zip(*parts, strict=True)]

    return run


def load(folder: Path, variant: str | None = None) -> KerasModel:
    """Load the model of a training run, or any Keras model folder.

    Parameters
    ----------
    folder
        A folder with ``run.json`` and ``model/``, or a SavedModel.
    variant
        Variant of a model without a run. For a run, None or the variant of the run.

    Raises
    ------
    ConversionError
        If there is no model, it does not load, or it does not map pixels to one probability.
    """
    facts = read_facts(folder)
    saved = folder if facts is None else folder / MODEL_FOLDER
    if not (saved / "saved_model.pb").is_file():
        raise ConversionError(
            f"{folder} holds neither a finished training run nor a SavedModel; pass a folder that "
            "nsfwtrain fit has written"
        )
    if facts is not None:
        check_file(folder, MODEL_FOLDER, facts)
    name = (facts or {}).get("variant", variant)
    if variant not in {None, name}:
        raise ConversionError(f"{folder} is a run of {name}, not of {variant}; omit --variant")
    if not isinstance(name, str):
        raise ConversionError(f"{folder} is not a training run; set its variant with --variant")
    try:
        model = tf_keras.models.load_model(
            saved, custom_objects={"KerasLayer": hub.KerasLayer}, compile=False
        )
    except Exception as error:
        raise ConversionError(f"{saved} does not load: {sentence(error)}") from error
    size = _side(model, saved)
    preprocess = Preprocess(size=size) if facts is None else _preprocess(facts, folder)
    if preprocess.size != size:
        raise ConversionError(
            f"{folder}: run.json has images of {preprocess.size} pixels, the model takes {size}"
        )
    return KerasModel(
        folder=folder,
        variant=name,
        model=model,
        preprocess=preprocess,
        labels=_labels(facts or {}, folder),
        training=None if facts is None else training_facts(facts),
    )


def sentence(error: BaseException) -> str:
    """Return a library's message on one line, cut at 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _preprocess(facts: dict[str, Any], folder: Path) -> Preprocess:
    try:
        return Preprocess.from_facts(facts["preprocess"])
    except ValueError as error:
        raise ConversionError(f"{folder / FACTS_FILE}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{folder}: run.json holds no valid preprocessing") from error


def _labels(facts: dict[str, Any], folder: Path) -> tuple[str, str]:
    match facts.get("labels", list(DEFAULT_NAMES)):
        case [str(zero), str(one)]:
            return zero, one
    raise ConversionError(f"{folder}: run.json holds no valid names of the labels")


def _side(model: Any, saved: Path) -> int:
    """Return S of a model from uint8 (N, S, S, 3) to (N, 1)."""
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) == 1 and len(outputs) == 1:
        taken, given = tuple(inputs[0].shape), tuple(outputs[0].shape)
        square = len(taken) == 4 and isinstance(taken[1], int) and taken[1] == taken[2]
        if square and taken[3] == 3 and inputs[0].dtype == tf.uint8 and given == (None, 1):
            return int(taken[1])
    shapes = ", ".join(f"{t.dtype.name} {tuple(t.shape)}" for t in [*inputs, *outputs])
    raise ConversionError(
        f"{saved} has the inputs and outputs {shapes or 'unknown'}; expected uint8 "
        "(None, S, S, 3), unscaled pixels, and float32 (None, 1), one probability"
    )
