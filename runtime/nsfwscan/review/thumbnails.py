"""Thumbnails of scanned files: decoded by the isolated workers, encoded here.

Their only metadata is their own perceptual hash, so that nothing is decoded to group the images.

A worker returns pixels, as for a scan. So no byte of a hostile file, and none that a compromised
decoder could choose, reaches the browser as a compressed image.
"""

import io
import threading
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.decoding.protocol import Digests
from nsfwscan.decoding.similarity import HASH_SIDE, difference_hashes
from nsfwscan.errors import ImageError
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.supervision import Supervisor, with_restarts
from nsfwscan.sources.entry import Entry, Problem

SIDE = 256
"""Longest side of a thumbnail in pixels. With 480, writing a review takes twice as long."""

_QUALITY = 80
_PIXELS = Preprocess(size=SIDE, interpolation="box", jpeg_draft_margin=1)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a file has no thumbnail, in a few words."""

    why: str


class Thumbnails:
    """Decode files for their thumbnails, on several threads at once.

    Use it as a context manager: the block's end ends the workers.

    Parameters
    ----------
    options
        The limits of reading and decoding.
    """

    def __init__(self, options: ScanOptions) -> None:
        self._options = replace(options, frames=1, views=0)
        self._supervisor = Supervisor()

    def __enter__(self) -> "Thumbnails":
        """Start the clock of the workers."""
        threading.Thread(target=self._supervisor.run_clock, name="clock", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all work."""
        self._supervisor.stop()

    def decode(self, path: str, sha256: str, frame: int | None) -> DecodedImage | Missing:
        """Decode a file for its thumbnail, if it still has the bytes that were scanned.

        Parameters
        ----------
        path
            The file.
        sha256
            Digest of the bytes that were scanned.
        frame
            The index of the frame to show; None for the one that viewers show first.

        Raises
        ------
        EngineError
            If no worker starts.
        """
        return with_restarts(lambda: self._decode(path, sha256, frame))

    def _decode(self, path: str, sha256: str, frame: int | None) -> DecodedImage | Missing:
        found: DecodedImage | Missing = Missing("cannot be decoded")
        with closing(self._supervisor.workers(path)) as workers:
            for worker in workers:
                try:
                    seen = worker.read(Entry(path, explicit=True), self._options)
                    if isinstance(seen, Problem):
                        return Missing(seen.detail)
                    if not isinstance(seen, Digests) or seen.sha256 != sha256:
                        return Missing("changed since the scan")
                    return worker.decode(_PIXELS, self._options, frame)
                except ImageError as error:
                    found = Missing(error.detail)
                    continue
        return found


def encode(image: DecodedImage) -> bytes:
    """Encode a thumbnail, in the proportions of the original, as JPEG with its hash."""
    square = Image.fromarray(image.pixels[0])
    small = square.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX)
    comment = f"{int(difference_hashes(np.asarray(small)[np.newaxis])[0]):016x}"
    scale = min(1.0, SIDE / max(image.width, image.height))
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    out = io.BytesIO()
    resized = square.resize(size, Image.Resampling.BOX)
    resized.save(out, "JPEG", quality=_QUALITY, comment=comment)
    return out.getvalue()


def hash_of(jpeg: bytes) -> int:
    """Return the perceptual hash that a thumbnail states, see `difference_hashes`."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return int(image.info["comment"], 16)
