"""Decoded images on their way to the model: a bounded queue that gives batches."""

import contextlib
import queue
import threading
from dataclasses import dataclass

from nsfwscan.decoding.pixels import DecodedImage

_PATIENCE = 0.02
"""Seconds without a new image after which a batch is scored although it is not full."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a scan divides its work: `nsfwscan.ScanOptions` with the automatic values resolved.

    Attributes
    ----------
    workers
        Processes that read and decode.
    threads
        Threads that call the model concurrently.
    batch_size
        Most frames in one call of the model.
    pad_batches
        Whether a call waits until its batch is full, and pads a short one. Otherwise it takes
        the images that are ready.
    """

    workers: int
    threads: int
    batch_size: int
    pad_batches: bool


class BatchQueue:
    """Decoded images between the threads that decode and the threads that score.

    Parameters
    ----------
    plan
        Gives the size of the batches, and so the bound of the queue.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        bound = 2 * max(plan.threads, plan.batch_size)
        self._images: queue.Queue[tuple[str, DecodedImage] | None] = queue.Queue(bound)
        self._taking = threading.Lock()
        self._stopped = threading.Event()

    def put(self, sha256: str, image: DecodedImage) -> None:
        """Add an image; wait while the queue is full. After `stop` the image is dropped."""
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._images.put((sha256, image), timeout=0.1)
                return

    def take(self) -> list[tuple[str, DecodedImage]]:
        """Wait for a batch, as digests and images; empty after `stop`.

        One thread at a time collects, so that batches fill up.
        """
        batch: list[tuple[str, DecodedImage]] = []
        frames = 0
        with self._taking, contextlib.suppress(queue.Empty):
            while frames < self._plan.batch_size:
                wait = None if not batch else _PATIENCE if self._plan.pad_batches else 0
                item = self._images.get(block=wait != 0, timeout=wait)
                if item is None:
                    break
                batch.append(item)
                frames += len(item[1].pixels)
        if self._stopped.is_set():
            self.stop()  # wakes the next thread
            return []
        return batch

    def stop(self) -> None:
        """Wake all threads that wait."""
        self._stopped.set()
        with contextlib.suppress(queue.Full):  # then a waiting thread wakes up anyway
            self._images.put_nowait(None)
