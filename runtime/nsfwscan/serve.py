"""What a worker's process runs: it reads and decodes on request (see `nsfwscan.worker`)."""

import contextlib
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

if sys.platform != "win32":
    import resource


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


def _limit_memory(most: int) -> None:
    """Have the system refuse this process more memory than that, if it can."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != limit:
        with contextlib.suppress(OSError, ValueError):  # macOS holds nobody to it
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _told(found: Contents | LeftAlone | Problem) -> object:
    if isinstance(found, Contents):
        return [found.sha256, found.sha1, found.stamp]
    return found.kind if isinstance(found, LeftAlone) else [found.reason, found.detail]


def _decoded(
    data: bytes, preprocess: dict[str, Any], frames: int, max_pixels: int, max_memory: int
) -> tuple[object, bytes]:
    _limit_memory(max_memory)
    if Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own guard refuses what has twice its limit.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    try:
        found = squares(data, Preprocess(**preprocess), frames=frames, max_pixels=max_pixels)
    except PictureError as error:
        spent = isinstance(error.__cause__, MemoryError)
        hint = f" (--max-memory allows {max_memory:,} bytes)" if spent else ""
        return {"reason": error.reason, "detail": f"{error.detail}{hint}", "spent": spent}, b""
    head = {
        "frames": len(found.frames), "width": found.width, "height": found.height,
        "format": found.format,
    }  # fmt: skip
    return head, b"".join(frame.tobytes() for frame in found.frames)


def _answer(stream: IO[bytes], message: object, pixels: bytes = b"") -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.write(pixels)
    stream.flush()
