"""TensorFlow, Keras 2 and TensorFlow Hub, imported in one place and without messages.

The hub's layers are layers of Keras 2 (``tf_keras``), not of Keras 3.
"""

import os
import warnings
from contextlib import suppress
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised as exceptions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hub still imports pkg_resources
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
    """Return TensorFlow's details of each GPU, such as name and compute capability."""
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(device) for device in devices]


def use_one_thread_per_call() -> None:
    """Use one thread for each call, for a program that makes parallel calls on all cores.

    This has no effect after TensorFlow's first computation.
    """
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def use_mixed_precision() -> bool:
    """Let TensorFlow compute in float16 where that is safe, if a GPU is faster with float16.

    A Keras policy cannot change the dtypes of a hub module, which its graph fixes. TensorFlow's
    graph optimizer can.

    Returns
    -------
    bool
        Whether mixed precision is in use.
    """
    gains = [gpu for gpu in gpus() if gpu.get("compute_capability", (0, 0)) >= _TENSOR_CORES]
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision": bool(gains)})
    return bool(gains)
