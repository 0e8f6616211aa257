"""Batches that fit into memory: their size is halved whenever it runs out."""

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
        The first size, 1 or more.
    say
        Takes a line for the user when the size is halved.
    """

    def __init__(self, size: int, say: Callable[[str], None]) -> None:
        self.size = size
        self._say = say
        self._lock = threading.Lock()

    def run(self, work: Callable[[int], Result]) -> Result:
        """Run some work, again with half the size whenever memory runs out.

        Parameters
        ----------
        work
            Takes the size. Several threads may run work at once.

        Raises
        ------
        RunError
            If memory does not suffice for a single image.
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
