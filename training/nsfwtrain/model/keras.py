"""TensorFlow, Keras 2 and the hub, imported in one place and quietly.

``tf_keras`` is named as such: the hub's layers are its layers, not Keras 3's.
"""

import os
import warnings
from contextlib import suppress
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong is said by an exception

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hub still asks for pkg_resources
    import tensorflow as tf
    import tensorflow_hub as hub
    import tf_keras
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2 as freeze,
    )

tf.get_logger().setLevel("ERROR")

__all__ = [
    "freeze",
    "gpus",
    "hub",
    "tf",
    "tf_keras",
    "use_mixed_precision",
    "use_one_thread_per_call",
]

_TENSOR_CORES = (7, 0)  # the compute capability from which float16 is faster than float32


def gpus() -> list[dict[str, Any]]:
    """Give the device details of each GPU that TensorFlow sees: name, compute capability."""
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(device) for device in devices]


def use_one_thread_per_call() -> None:
    """Let each call compute on one thread, where the calls themselves come from one a core.

    Has no effect once TensorFlow has begun to compute.
    """
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def use_mixed_precision() -> bool:
    """Let TensorFlow compute in float16 where that is safe, if a GPU here gains from it.

    A hub module has its dtypes written into its graph, so that a Keras policy does not reach it;
    the graph optimizer's rewrite does.

    Returns
    -------
    bool
        Whether it is in use.
    """
    gains = [gpu for gpu in gpus() if gpu.get("compute_capability", (0, 0)) >= _TENSOR_CORES]
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision": bool(gains)})
    return bool(gains)
