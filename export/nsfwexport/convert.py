"""Convert a Keras model to one ONNX file, which is published only if the scores are the same."""

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import tf2onnx

from nsfwexport import modelfile
from nsfwexport.comparison import Report, Tolerance
from nsfwexport.errors import ConversionError
from nsfwexport.keras import KerasModel, sentence, tf, tf_keras
from nsfwexport.parity import publish
from nsfwscan import Manifest
from nsfwscan.reports.progress import Progress, no_progress

OPSET = 18

logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # failures raise exceptions

_TOOLS = ("nsfwscan", "tensorflow", "tf-keras", "tf2onnx", "onnx")


def convert(
    source: KerasModel,
    out: Path,
    *,
    opset: int = OPSET,
    images: Sequence[Path] | None = None,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] | None = None,
    licence: str | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Convert a model, check the file, compare the scores, and only then give the file its name.

    Parameters
    ----------
    source
        The Keras model.
    out
        The ONNX file. An existing one stays if anything fails.
    opset
        Version of the ONNX operator set.
    images
        Images to compare on; None generates some.
    devices, tolerances
        See `nsfwexport.parity.verify`.
    licence
        The licence of the weights, as an SPDX expression.

    Returns
    -------
    Report
        The comparison, which is also stored in the manifest.

    Raises
    ------
    ConversionError
        If the model cannot be converted, or the file would break the contract.
    ParityError
        If the scores differ by more than the tolerance.
    OutputError
        If the file cannot be written.
    """
    with progress("converting to ONNX", None):
        model = _to_onnx(source, opset)
    manifest = modelfile.with_tools(
        Manifest(
            name=source.folder.resolve().name,
            variant=source.variant,
            labels=source.labels,
            threshold_choice="the midpoint; nsfwexport calibrate chooses one for a purpose",
            preprocess=source.preprocess,
            training=source.training,
            licence=licence,
        ),
        *_TOOLS,
    )
    return publish(
        model, manifest, out, source.reference(),
        images=images, devices=devices, tolerances=tolerances, progress=progress,
    )  # fmt: skip


def _to_onnx(source: KerasModel, opset: int) -> Any:
    """Convert to a graph from ``image`` to ``probability``."""
    size = source.preprocess.size
    # The identity at the end names the output, whatever the name of the model's last layer.
    named = tf_keras.Sequential(
        [
            tf_keras.Input((size, size, 3), dtype="uint8", name="image"),
            source.model,
            tf_keras.layers.Activation("linear", name="probability"),
        ]
    )
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")]
    gc.collect()
    gc.freeze()  # the collections between the optimizers then skip TensorFlow's own objects
    try:
        model, _ = tf2onnx.convert.from_keras(
            named, input_signature=signature, opset=opset, optimizers=_optimizers()
        )
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ConversionError(f"cannot convert {source.folder}: {sentence(error)}") from error
    finally:
        gc.unfreeze()
    return model


def _optimizers() -> dict[str, Callable[[], Any]]:
    """Return the graph optimizers of tf2onnx, each preceded by a garbage collection.

    Each optimizer deep-copies the graph with its weights, and the copies hold reference cycles.
    Without the collections, converting a B7 takes 17.9 GB.
    """

    def after_collection(factory: Callable[[], Any]) -> Callable[[], Any]:
        def make() -> Any:
            gc.collect()
            return factory()

        return make

    found = tf2onnx.optimizer._get_optimizers()  # noqa: SLF001 - no public function
    return {name: after_collection(factory) for name, factory in found.items()}
