"""Build, save and load the complete model: from pixels to the probability of label 1."""

import io
import shutil
from pathlib import Path
from typing import Any

import h5py

from nsfwscan.util.files import atomic_path, temporary_folder
from nsfwtrain.errors import RunError
from nsfwtrain.model.head import Weights
from nsfwtrain.model.keras import freeze, hub, tf, tf_keras


def build_model(size: int, backbone: Any, head: Weights) -> Any:
    """Build the model from its backbone and its head.

    Parameters
    ----------
    size
        Side S of the square input, in pixels.
    backbone
        A frozen layer from float32 (N, S, S, 3) in [0, 1] to float32 (N, features).
    head
        Weights of the last layer.

    Returns
    -------
    tf_keras.Sequential
        From ``image``, uint8 (N, S, S, 3), RGB, 0-255, to ``probability``, float32 (N, 1).
    """
    dense = tf_keras.layers.Dense(1, activation="sigmoid", name="probability")
    model = tf_keras.Sequential(
        [
            tf_keras.Input((size, size, 3), dtype="uint8", name="image"),
            tf_keras.layers.Rescaling(1 / 255),
            backbone,
            dense,
        ]
    )
    dense.set_weights(list(head))
    return model


def feature_function(size: int, backbone: Any) -> Any:
    """Compile the model up to the features: from uint8 (N, S, S, 3) to float32 (N, features).

    The weights become constants, which TensorFlow's optimizer folds into the convolutions. This
    makes B0 20 % faster on a CPU.
    """
    rescale = tf_keras.layers.Rescaling(1 / 255)

    def features(pixels: Any) -> Any:
        return backbone(rescale(pixels), training=False)

    traced = tf.function(features, [tf.TensorSpec((None, size, size, 3), tf.uint8)])
    frozen = freeze(traced.get_concrete_function())
    return lambda pixels: frozen(pixels)[0]


def save_model(out: Path, model: Any) -> None:
    """Write the model into a run's folder, as a SavedModel and as HDF5.

    Raises
    ------
    RunError
        If the model cannot be written.
    """
    in_memory = io.BytesIO()  # the HDF5 library crashes on a full disk
    try:
        with h5py.File(in_memory, "w") as file:
            model.save(file, save_format="h5", include_optimizer=False)
        with temporary_folder(out / "model") as folder:
            temporary = Path(folder, "model")
            model.save(temporary, save_format="tf", include_optimizer=False)
            shutil.rmtree(out / "model", ignore_errors=True)
            temporary.rename(out / "model")
        with atomic_path(out / "model.h5") as path:
            path.write_bytes(in_memory.getbuffer())
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        said = " ".join(str(error).split())[-200:]  # the cause is at the end
        raise RunError(f"cannot write the model into {out}: is the disk full? ({said})") from error


def load_model(out: Path) -> Any:
    """Load a run's model from its SavedModel.

    Raises
    ------
    RunError
        If the folder holds no model that can be loaded.
    """
    try:
        return tf_keras.models.load_model(
            out / "model", custom_objects={"KerasLayer": hub.KerasLayer}, compile=False
        )
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise RunError(f"{out} holds no model that can be loaded ({said})") from error
