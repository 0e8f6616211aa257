"""TensorFlow, Keras 2 and the hub, imported in one place and quietly.

``tf_keras`` is named as such: the hub's layers are its layers, not Keras 3's.
"""

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong is said by an exception

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hub still asks for pkg_resources
    import tensorflow as tf
    import tensorflow_hub as hub
    import tf_keras

tf.get_logger().setLevel("ERROR")

__all__ = ["hub", "tf", "tf_keras"]
