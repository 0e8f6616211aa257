"""Batches that fit into memory: smaller ones wherever it runs out."""

import threading
from collections.abc import Callable
from typing import TypeVar

from nsfwtrain.errors import RunError
from nsfwtrain.model.keras import tf

Result = TypeVar("Result")


class BatchSize:
    """The size of a batch, halved whenever memory runs out.

    Parameters
    ----------
    size
        To begin with, 1 or more.
    say
        Told in a line when it is halved.
    """

    def __init__(self, size: int, say: Callable[[str], None]) -> None:
        self.size = size
        self._say = say
        self._lock = threading.Lock()

    def fit(self, work: Callable[[int], Result]) -> Result:
        """Do some work, once more with half the size where memory runs out.

        Parameters
        ----------
        work
            Takes the size; several threads may be at it.

        Raises
        ------
        RunError
            If memory does not do for a single image.
        """
        while True:
            size = self.size
            try:
                return work(size)
            except tf.errors.ResourceExhaustedError as error:
                with self._lock:
                    if size == 1:
                        raise RunError(
                            "there is not enough memory for a single image; choose a smaller "
                            "variant, or close what else uses the device"
                        ) from error
                    if size == self.size:
                        self.size //= 2
                        self._say(f"out of memory: the batch size is now {self.size}")
