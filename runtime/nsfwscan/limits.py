"""The options of a scan, their defaults and their ranges. Nothing here is slow to import."""

from dataclasses import dataclass

MAX_PIXELS = 178_956_970
"""Limit on width x height: 2**30 / 6, where Pillow too refuses a "decompression bomb"."""

MAX_FILESIZE = 512 << 20
"""Limit on an image file in bytes: an uncompressed RGB image of `MAX_PIXELS` fits."""

TIMEOUT = 30.0
"""Seconds that reading and decoding one file may take."""

LEAST_TIMEOUT = 0.1
"""Smallest such limit in seconds, and how often the clock is looked at."""

MAX_MEMORY = 6 << 30
"""Limit on a worker's memory in bytes.

Any image of `MAX_PIXELS` can be decoded within it: the most that one took was 26 bytes a pixel,
of a transparent WebP that is turned.
"""

LEAST_MEMORY = 256 << 20
"""Smallest such limit: below it, the libraries that decode do not fit themselves."""

FRAMES = 8
"""How many frames of an animation are scored at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How a scan reads, decodes and scores.

    Attributes
    ----------
    frames
        Most frames of an animation to score, 1 or more.
    exact
        Whether JPEG files are decoded at full size, even where the model's `Preprocess` allows a
        reduced one.
    batch_size
        Most frames in one call of the model, 1 or more. None: 2 on the CPU, 1 if they are larger
        than 224 x 224, and 32 on a GPU.
    workers
        Processes that read and decode, 1 or more. None: one for each available core.
    threads
        Threads that call the model, 1 or more. None: on the CPU one for each available core,
        divided by the threads of one call; 2 on a GPU, so that one batch uploads while another
        runs.
    max_pixels
        Most pixels (width x height) of a frame.
    max_filesize
        Most bytes of an image file.
    timeout
        Most seconds to read and decode one file, `LEAST_TIMEOUT` or more. A worker process that
        takes longer is ended.
    max_memory
        Most bytes of address space of a worker process, `LEAST_MEMORY` or more. Only Linux
        enforces it.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    frames: int = FRAMES
    exact: bool = False
    batch_size: int | None = None
    workers: int | None = None
    threads: int | None = None
    max_pixels: int = MAX_PIXELS
    max_filesize: int = MAX_FILESIZE
    timeout: float = TIMEOUT
    max_memory: int = MAX_MEMORY

    def __post_init__(self) -> None:
        """Check the ranges."""
        least: dict[str, float] = dict.fromkeys(
            ("frames", "batch_size", "workers", "threads", "max_pixels", "max_filesize"), 1
        )
        least |= {"timeout": LEAST_TIMEOUT, "max_memory": LEAST_MEMORY}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and not value >= minimum:  # NaN is not
                raise ValueError(f"{name} must be {minimum} or more, got {value}")
