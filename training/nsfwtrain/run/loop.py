"""Train the head with Adam on the binary cross-entropy. Every example counts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwtrain.data.examples import Batches
from nsfwtrain.model.head import Weights
from nsfwtrain.model.keras import tf, tf_keras
from nsfwtrain.run.metrics import EPSILON, predicted
from nsfwtrain.run.state import State


class Trainer:
    """Trains the last layer of a model.

    Parameters
    ----------
    forward
        From a batch of inputs to probabilities (N, 1); differentiable in `variables`.
    variables
        Kernel and bias of the head.
    learning_rate
        Adam's; its other parameters stay at their defaults.
    class_weight
        Weights of label 0 and label 1 in the loss.
    """

    def __init__(
        self,
        forward: Callable[[Any], Any],
        variables: list[Any],
        *,
        learning_rate: float,
        class_weight: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self._variables = variables
        self._optimizer = tf_keras.optimizers.Adam(learning_rate)
        self._optimizer.build(variables)
        weights = tf.constant(class_weight, tf.float32)

        def losses(inputs: Any, labels: Any) -> tuple[Any, Any]:
            probability = tf.cast(forward(inputs)[:, 0], tf.float32)
            clipped = tf.clip_by_value(probability, EPSILON, 1 - EPSILON)
            cross = labels * tf.math.log(clipped) + (1 - labels) * tf.math.log(1 - clipped)
            return -cross, probability

        def step(inputs: Any, labels: Any) -> tuple[Any, Any]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                loss, probability = losses(inputs, labels)
                weighted = loss * tf.gather(weights, tf.cast(labels, tf.int32))
                mean = tf.reduce_mean(weighted)
            gradients = tape.gradient(mean, variables)
            self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return tf.reduce_sum(loss), probability

        def score(inputs: Any, labels: Any) -> tuple[Any, Any]:
            loss, probability = losses(inputs, labels)
            return tf.reduce_sum(loss), probability

        self._step = tf.function(step, reduce_retracing=True)
        self._score = tf.function(score, reduce_retracing=True)

    def restore(self, state: State) -> None:
        """Set the weights, and the optimizer if the state has one."""
        for variable, value in zip(self._variables, state.head, strict=True):
            variable.assign(value)
        for variable, value in zip(self._optimizer.variables, state.optimizer, strict=False):
            variable.assign(value)

    def save(self, state: State) -> None:
        """Copy the weights and the optimizer into a state."""
        state.head = self.head()
        state.optimizer = [variable.numpy() for variable in self._optimizer.variables]

    def head(self) -> Weights:
        """Copy the weights."""
        kernel, bias = (variable.numpy() for variable in self._variables)
        return kernel, bias

    def train(self, batches: Batches) -> tuple[float, float]:
        """Take a step for each batch; return the mean loss and accuracy before each step."""
        return _mean(batches, self._step)

    def evaluate(self, batches: Batches) -> tuple[float, float]:
        """Return the mean loss and accuracy over all examples."""
        return _mean(batches, self._score)


def score(
    forward: Callable[[Any], Any],
    batches: Batches,
    advance: Callable[[int], None] = lambda _done: None,
) -> NDArray[np.float32]:
    """Compute the probability of each example: float32 (N,); `advance` gets the number done."""
    scores, done = [], 0
    for inputs, _ in batches:
        scores.append(forward(tf.constant(inputs)).numpy()[:, 0])
        done += len(inputs)
        advance(done)
    return np.concatenate(scores)


def _mean(batches: Batches, work: Callable[[Any, Any], tuple[Any, Any]]) -> tuple[float, float]:
    count, loss, right = 0, 0.0, 0
    for inputs, labels in batches:
        batch_loss, probability = work(tf.constant(inputs), tf.constant(labels))
        count += len(labels)
        loss += float(batch_loss)
        right += int(np.sum(predicted(probability.numpy()) == (labels >= 0.5)))
    return loss / count, right / count
