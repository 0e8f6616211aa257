from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nsfwtrain.model.head import Weights, initial_head
from nsfwtrain.model.keras import tf, tf_keras
from nsfwtrain.run.loop import Trainer, score
from nsfwtrain.run.state import State

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(50, 4)).astype(np.float32)
LABELS = (INPUTS @ [1, -2, 0.5, 0] > 0).astype(np.float32)
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


def batches(size: int = 16) -> Iterator[Batch]:
    for start in range(0, 50, size):
        yield INPUTS[start : start + size], LABELS[start : start + size]


def trainer(head: Weights, **options: object) -> Trainer:
    kernel, bias = map(tf.Variable, head)
    forward = lambda x: tf.sigmoid(x @ kernel + bias)  # noqa: E731
    return Trainer(forward, [kernel, bias], learning_rate=0.01, **options)  # type: ignore[arg-type]


def test_training_matches_keras() -> None:
    head = initial_head(4, 0)
    ours = trainer(head)
    for _ in range(5):
        ours.train(batches())
    dense = tf_keras.layers.Dense(1, activation="sigmoid")
    model = tf_keras.Sequential([tf_keras.Input((4,)), dense])
    dense.set_weights(list(head))
    model.compile(tf_keras.optimizers.Adam(0.01), "binary_crossentropy", ["accuracy"])
    model.fit(INPUTS, LABELS, batch_size=16, epochs=5, shuffle=False, verbose=0)
    for mine, theirs in zip(ours.head(), dense.get_weights(), strict=True):
        assert np.abs(mine - theirs).max() < 1e-5
    loss, accuracy = model.evaluate(INPUTS, LABELS, batch_size=50, verbose=0)
    assert ours.evaluate(batches()) == pytest.approx((loss, accuracy), abs=1e-5)


def test_the_batch_size_does_not_change_the_means() -> None:
    head = initial_head(4, 0)
    means = [trainer(head).evaluate(batches(size)) for size in (1, 7, 16, 50, 99)]
    assert np.ptp(np.array(means), axis=0).max() < 1e-6


def test_a_restored_training_continues_identically() -> None:
    straight = trainer(initial_head(4, 0))
    straight.train(batches())
    state = State(initial_head(4, 0))
    straight.save(state)
    straight.train(batches())
    resumed = trainer(initial_head(4, 9))
    resumed.restore(state)
    resumed.train(batches())
    assert np.array_equal(resumed.head()[0], straight.head()[0])


def test_class_weights_shift_scores_towards_a_label() -> None:
    even, skewed = trainer(initial_head(4, 0)), trainer(initial_head(4, 0), class_weight=(1.0, 9.0))
    for _ in range(20):
        even.train(batches())
        skewed.train(batches())
    assert skewed.head()[1][0] > even.head()[1][0]


def test_the_accuracy_counts_as_a_scan_does() -> None:
    """A scan rounds 0.4999998 to 0.5 and flags it."""
    even = Trainer(lambda x: x, [], learning_rate=0.01)
    inputs = np.array([[0.4999998], [0.4999994], [0.25]], np.float32)
    assert even.evaluate(iter([(inputs, np.array([1, 1, 0], np.float32))]))[1] == 2 / 3


def test_scores_are_the_forward_pass_of_every_example() -> None:
    def forward(inputs: Any) -> Any:
        return tf.reduce_mean(inputs, axis=1, keepdims=True)

    assert np.allclose(score(forward, batches(7)), INPUTS.mean(axis=1))
