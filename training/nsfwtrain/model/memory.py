"""Fit batches into memory: halve their size whenever memory runs out."""

import threading
from collections.abc import Callable
from typing import TypeVar

from nsfwtrain.errors import RunError
from nsfwtrain.model.keras import tf

Result = TypeVar("Result")


class BatchSize:
    """A batch size that is halved whenever memory runs out; `say` then gets a line for the user."""

    def __init__(self, size: int, say: Callable[[str], None]) -> None:
        self.size = size
        self._say = say
        self._lock = threading.Lock()

    def run(self, work: Callable[[int], Result]) -> Result:
        """Call `work` with the size; halve the size and retry whenever memory runs out.

        Several threads may call this at once.

        Raises
        ------
        RunError
            If there is not enough memory for a single image.
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
                            "variant, or close other programs that use the device"
                        ) from error
                    if size == self.size:
                        self.size //= 2
                        self._say(f"out of memory: the batch size is now {self.size}")
