"""What a worker's process runs: it reads and decodes on request (see `nsfwscan.worker`)."""

import json
import os
import sys
import warnings
from typing import IO, Any

from PIL import Image

from nsfwscan.errors import PictureError
from nsfwscan.found import Candidate, LeftAlone, Problem
from nsfwscan.parameters import Preprocess
from nsfwscan.preprocess import squares
from nsfwscan.reader import Contents, read


def serve() -> None:
    """Answer requests until standard input ends."""
    warnings.simplefilter("ignore")
    requests = sys.stdin.buffer
    # Nothing that a library prints may come between the answers.
    answers = open(os.dup(1), "wb")  # noqa: SIM115 - until the process ends
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    contents: Contents | None = None
    _answer(answers, "ready")
    for line in requests:
        request = json.loads(line)
        if "read" in request:
            path, named, max_filesize = request["read"]
            found = read(Candidate(path, named), max_filesize)
            contents = found if isinstance(found, Contents) else None
            _answer(answers, _told(found))
        elif contents is not None:
            _answer(answers, *_decoded(contents.data, **request["decode"]))
            contents = None


def _told(found: Contents | LeftAlone | Problem) -> object:
    if isinstance(found, Contents):
        return [found.sha256, found.sha1, found.stamp]
    return found.kind if isinstance(found, LeftAlone) else [found.reason, found.detail]


def _decoded(
    data: bytes, preprocess: dict[str, Any], frames: int, max_pixels: int
) -> tuple[object, bytes]:
    if Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own guard refuses what has twice its limit.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    try:
        found = squares(data, Preprocess(**preprocess), frames=frames, max_pixels=max_pixels)
    except PictureError as error:
        return {"reason": error.reason, "detail": error.detail}, b""
    head = {
        "frames": len(found.frames), "width": found.width, "height": found.height,
        "format": found.format,
    }  # fmt: skip
    return head, b"".join(frame.tobytes() for frame in found.frames)


def _answer(stream: IO[bytes], message: object, pixels: bytes = b"") -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.write(pixels)
    stream.flush()
