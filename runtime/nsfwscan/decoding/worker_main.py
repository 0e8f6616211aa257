"""What a worker process runs: it reads and decodes on request (`nsfwscan.decoding.worker`)."""

import contextlib
import json
import math
import os
import sys
import warnings
from typing import IO, Any

from PIL import Image

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.preprocess import decode_frames
from nsfwscan.errors import ImageError, Reason
from nsfwscan.sources.entry import Entry, Skipped
from nsfwscan.sources.reader import Contents, read

if sys.platform != "win32":
    import resource


def serve(lifeline: int | None = None) -> None:
    """Answer requests until standard input ends.

    Parameters
    ----------
    lifeline
        A pipe's end; when the other one closes, the system ends this process, whatever it is doing.
    """
    if lifeline is not None:
        _end_with(lifeline)
    warnings.simplefilter("ignore")
    requests = sys.stdin.buffer
    # Nothing that a library prints may come between the answers.
    answers = open(os.dup(1), "wb")  # noqa: SIM115 - until the process ends
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    data: bytes | None = None
    _answer(answers, "ready")
    for line in requests:
        request = json.loads(line)
        if "read" in request:
            data = None  # or two files would have to fit into the memory
            data, told = _read(**request["read"])
            _answer(answers, told)
        elif data is not None:
            _answer(answers, *_decoded(data, **request["decode"]))
            data = None


def _end_with(lifeline: int) -> None:
    """Have SIGIO, which ends a process, come when there is news of a pipe: that it is closed."""
    import fcntl  # not on Windows

    with contextlib.suppress(OSError, AttributeError):  # where the system has no such thing
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


def _read(
    path: str, named: bool, max_filesize: int, max_memory: int
) -> tuple[bytes | None, object]:
    _limit_memory(max_memory)
    try:
        found = read(Entry(path, named), max_filesize)
    except MemoryError:
        return None, _short_of_memory("read")
    if isinstance(found, Contents):
        return found.data, [found.sha256, found.sha1, found.stamp]
    if isinstance(found, Skipped):
        return None, found.kind
    return None, _failure(found.reason, found.detail, spent=False)


def _decoded(
    data: bytes, preprocess: dict[str, Any], frames: int, max_pixels: int
) -> tuple[object, bytes]:
    if Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own guard refuses what has twice its limit.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    try:
        found = decode_frames(data, Preprocess(**preprocess), frames=frames, max_pixels=max_pixels)
        pixels = b"".join(frame.tobytes() for frame in found.frames)
    except MemoryError:
        return _short_of_memory("decode"), b""
    except ImageError as error:
        # A decoder that is refused memory says anything, mostly that the data is damaged.
        cause = error.__cause__
        if isinstance(cause, MemoryError) or (cause is not None and _is_at_its_limit()):
            return _short_of_memory("decode"), b""
        return _failure(error.reason, error.detail, spent=False), b""
    head = {
        "frames": len(found.frames), "width": found.width, "height": found.height,
        "format": found.format,
    }  # fmt: skip
    return head, pixels


def _short_of_memory(what: str) -> object:
    return _failure(Reason.TOO_LARGE, f"there is not enough memory to {what} it", spent=True)


def _failure(reason: Reason, detail: str, *, spent: bool) -> object:
    if spent and math.isfinite(_memory_limit()):
        detail += f"; a process may take {_memory_limit():,} bytes (see --max-memory)"
    return {"reason": reason, "detail": detail, "spent": spent}


def _memory_limit() -> float:
    """Give the bytes of address space that the system allows this process."""
    if sys.platform == "win32":
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def _limit_memory(most: int) -> None:
    """Have the system refuse this process more memory than that, or than it did at its start."""
    if sys.platform == "win32":
        return
    limit = int(min(most, _MEMORY_LIMIT))
    if _memory_limit() != limit:
        with contextlib.suppress(OSError, ValueError):  # macOS holds nobody to it
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _is_at_its_limit() -> bool:
    """Guess whether memory was refused: whether more than half of it was once in use."""
    if not math.isfinite(_memory_limit()):
        return False
    try:
        with open("/proc/self/status", "rb") as stream:
            peak = next(int(line.split()[1]) for line in stream if line.startswith(b"VmPeak:"))
    except (OSError, StopIteration):  # another system than Linux
        return False
    return 2 * 1024 * peak > _memory_limit()


_MEMORY_LIMIT = _memory_limit()


def _answer(stream: IO[bytes], message: object, pixels: bytes = b"") -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.write(pixels)
    stream.flush()
