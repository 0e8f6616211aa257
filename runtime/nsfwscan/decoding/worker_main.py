"""The program of a worker process, which reads and decodes (see `nsfwscan.decoding.worker`)."""

import contextlib
import math
import os
import sys
import warnings
from typing import BinaryIO

from PIL import Image

from nsfwscan.decoding.preprocess import decode_frames
from nsfwscan.decoding.protocol import (
    READY,
    Decode,
    Digests,
    Failure,
    ImageHeader,
    ReadBytes,
    ReadFile,
    parse_request,
    to_line,
)
from nsfwscan.errors import ImageError, Reason
from nsfwscan.sources.entry import Entry, Problem, Skipped
from nsfwscan.sources.reader import Contents, contents_of, read_file

if sys.platform != "win32":
    import resource

_PIECE_BYTES = 1 << 16


def main(lifeline: int | None = None) -> None:
    """Answer requests until standard input ends.

    A worker reads a request completely before it answers, so that the two sides cannot block each
    other.

    Parameters
    ----------
    lifeline
        The reading end of a pipe. When the other end closes, the system ends this process
        immediately.
    """
    if lifeline is not None:
        _end_with(lifeline)
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # the scan's own limit applies
    requests = sys.stdin.buffer
    # Output of libraries must not mix with the answers.
    answers = open(os.dup(1), "wb")  # noqa: SIM115 - open until the process ends
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    answers.write(READY)
    answers.flush()
    data = b""
    for line in requests:
        request = parse_request(line)
        if isinstance(request, Decode):
            answer, data = _decode(data, request), b""
        else:
            data = b""  # before the next image, since two might not fit in memory
            data, answer = _read(request, requests)
        answers.write(answer)
        answers.flush()


def _end_with(lifeline: int) -> None:
    """Let the system send SIGIO, which ends the process, when the pipe's other end closes."""
    import fcntl  # not on Windows

    with contextlib.suppress(OSError, AttributeError):  # a system without O_ASYNC
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


def _read(request: ReadFile | ReadBytes, requests: BinaryIO) -> tuple[bytes, bytes]:
    """Return an image's bytes, or no bytes for anything else, and the answer."""
    found: Contents | Skipped | Problem
    _limit_memory(request.max_memory)
    try:
        if isinstance(request, ReadBytes):
            found = contents_of(_receive(requests, request.size))
        else:
            entry = Entry(request.path, request.explicit, request.follow)
            found = read_file(entry, request.max_filesize)
    except MemoryError:
        return b"", to_line(_out_of_memory("read"))
    if isinstance(found, Contents):
        return found.data, to_line(Digests(found.sha256, found.sha1, found.stamp))
    if isinstance(found, Skipped):
        return b"", to_line(found.kind)
    return b"", to_line(Failure(found.reason, found.detail))


def _receive(requests: BinaryIO, size: int) -> bytes:
    """Read the bytes that follow a request. If they do not fit in memory, discard them."""
    try:
        return requests.read(size)
    except MemoryError:
        while size > 0 and (piece := requests.read(min(size, _PIECE_BYTES))):
            size -= len(piece)
        raise


def _decode(data: bytes, request: Decode) -> bytes:
    """Return the answer, followed by the pixels of a decoded image."""
    try:
        found = decode_frames(
            data, request.preprocess, frames=request.frames, views=request.views,
            max_pixels=request.max_pixels, frame=request.frame,
        )  # fmt: skip
        header = ImageHeader(
            found.frames, found.views, found.left_out, found.width, found.height, found.format,
            tuple(found.frame_numbers), found.total_frames,
        )  # fmt: skip
        return b"".join([to_line(header), *(square.tobytes() for square in found.squares)])
    except MemoryError:
        return to_line(_out_of_memory("decode"))
    except ImageError as error:
        # A decoder without memory may report any error, most often that the data is damaged.
        cause = error.__cause__
        if isinstance(cause, MemoryError) or (cause is not None and _is_near_memory_limit()):
            return to_line(_out_of_memory("decode"))
        return to_line(Failure(error.reason, error.detail))


def _out_of_memory(task: str) -> Failure:
    detail, limit = f"there is not enough memory to {task} it", _memory_limit()
    if math.isfinite(limit):
        detail += f"; a process may take {limit:,} bytes (see --max-memory)"
    return Failure(Reason.TOO_LARGE, detail, out_of_memory=True)


def _memory_limit() -> float:
    """Return the bytes of address space that the system allows this process."""
    if sys.platform == "win32":
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if soft == resource.RLIM_INFINITY else soft


_INITIAL_MEMORY_LIMIT = _memory_limit()


def _limit_memory(most: float) -> None:
    """Limit this process's address space in bytes, but never above its initial limit."""
    if sys.platform == "win32":
        return
    limit = int(min(most, _INITIAL_MEMORY_LIMIT, sys.maxsize))
    if _memory_limit() != limit:
        with contextlib.suppress(OSError, ValueError):  # macOS does not support this limit
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _is_near_memory_limit() -> bool:
    """Guess whether memory ran out, by whether the peak exceeds half of the limit."""
    limit = _memory_limit()
    if not math.isfinite(limit):
        return False
    try:
        with open("/proc/self/status", "rb") as stream:
            peak = next(int(line.split()[1]) for line in stream if line.startswith(b"VmPeak:"))
    except (OSError, StopIteration):  # not Linux
        return False
    return 2 * 1024 * peak > limit
