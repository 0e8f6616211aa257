"""The options of a scan, their defaults and their ranges. The module imports quickly."""

from dataclasses import dataclass

MAX_PIXELS = 220_000_000
"""Limit on width x height. Phones take photos of 200 million pixels."""

MAX_FILESIZE = 640 << 20
"""Limit on an image file in bytes: an uncompressed RGB image of `MAX_PIXELS` fits."""

TIMEOUT = 30.0
"""Seconds that reading and decoding one file may take."""

LEAST_TIMEOUT = 0.1
"""Smallest `TIMEOUT` in seconds, and the interval at which it is checked."""

MAX_MEMORY = 6 << 30
"""Limit on a worker's memory in bytes.

Any image of `MAX_PIXELS` can be decoded within it. The most expensive image measured, a rotated
transparent WebP, took 26 bytes per pixel.
"""

LEAST_MEMORY = 256 << 20
"""Smallest `MAX_MEMORY` in bytes: the decoding libraries themselves do not fit in less."""

MAX_CACHE_SIZE = 1 << 30
"""Limit on the cache file in bytes: 3.8 million images, at a measured 284 bytes each."""

LEAST_CACHE_SIZE = 1 << 20
"""Smallest `MAX_CACHE_SIZE` in bytes: at fewer, the empty tables would count."""

FRAMES = 32
"""Largest number of frames of an animation to score."""

VIEWS = 40
"""Largest number of parts of a long image to score."""

BLOCK = 4096
"""Entries of a block of a run on a cluster: the work that is repeated when a process dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How a scan reads, decodes and scores.

    Attributes
    ----------
    frames
        Most frames of an animation to score, 1 or more. 1 scores the first.
    views
        Most parts of a long image or animation to score besides the whole, 0 or more.
    exact
        Whether to decode JPEG files at full size, even if the model's `Preprocess` allows a
        reduced size.
    batch_size
        Most frames in one call of the model, 1 or more. None: 32 on a GPU; on the CPU 2, or 1 if
        the model's input is larger than 224 x 224.
    workers
        Processes that read and decode, 1 or more. None: one for each available core.
    threads
        Threads that call the model, 1 or more. None: on the CPU the number of available cores
        divided by the threads of one call; 2 on a GPU, so that one batch uploads while another
        runs.
    max_pixels
        Most pixels (width x height) of a frame.
    max_filesize
        Most bytes of an image file.
    timeout
        Most seconds to read and decode one file, `LEAST_TIMEOUT` or more. The scan ends a worker
        process that takes longer.
    max_memory
        Most bytes of address space of a worker process, `LEAST_MEMORY` or more. Only Linux
        enforces it.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If a value is not a number.
    """

    frames: int = FRAMES
    views: int = VIEWS
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
        least |= {"views": 0, "timeout": LEAST_TIMEOUT, "max_memory": LEAST_MEMORY}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is None and name in {"batch_size", "workers", "threads"}:
                continue
            kinds = (int, float) if name == "timeout" else (int,)
            if not isinstance(value, kinds) or isinstance(value, bool):
                wanted = "a number" if name == "timeout" else "an integer"
                raise TypeError(f"{name} must be {wanted}, got {value!r}")
            if not value >= minimum:  # NaN is not
                raise ValueError(f"{name} must be {minimum} or more, got {value}")
