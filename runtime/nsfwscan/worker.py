"""Processes that read and decode pictures, each spoken to by one thread at a time.

A decoder that crashes takes its own process with it, and not the scan. The processes are started
as programs of their own rather than through `multiprocessing`, which would run the main script of
whoever calls `nsfwscan.scan` a second time in each of them.

A request is a line of JSON on standard input, the answer a line of JSON on standard output, with
the pixels behind it as they are: nothing that comes back can be more than numbers and words.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
from PIL import Image

from nsfwscan.discover import Candidate, LeftAlone, Problem
from nsfwscan.errors import EngineError, PictureError, Reason
from nsfwscan.filetype import Kind
from nsfwscan.preprocess import Picture, Preprocess, decode
from nsfwscan.reader import Contents, read

_PIPE_BYTES = 1 << 20
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives the memory of each picture back to the system, and has it handed out and cleared
    # anew for the next one; to keep some saves a tenth of the time (see mallopt(3)).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from nsfwscan.worker import serve; serve()"
)


@dataclass(frozen=True, slots=True)
class Job:
    """How pictures are to be read and decoded.

    Attributes
    ----------
    preprocess
        What brings them to the shape that the model takes.
    frames
        Most frames of an animation, 1 or more.
    max_pixels, max_filesize
        Most pixels (width x height) and bytes that a picture may have.
    """

    preprocess: Preprocess
    frames: int
    max_pixels: int
    max_filesize: int


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file's bytes are told apart by; the bytes themselves stay with the worker.

    Attributes
    ----------
    sha256, sha1
        Lower-case hex digests.
    stamp
        As in `nsfwscan.reader.Contents`.
    """

    sha256: str
    sha1: str
    stamp: tuple[int, ...] | None


class Worker:
    """A process that reads and decodes, one file at a time. It is started when it is first used.

    Parameters
    ----------
    job
        How it is to be done.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start the process, and do not wait for it.

        Raises
        ------
        EngineError
            If the system starts none.
        """
        try:
            self._process = self._started()
        except OSError as error:
            raise _no_start(error.strerror or str(error)) from error
        self._ready = False
        self._send([os.path.abspath(path) for path in sys.path])
        self._send(asdict(self._job))

    def _started(self) -> subprocess.Popen[bytes]:
        pipe: dict[str, Any] = {} if sys.platform == "win32" else {"pipesize": _PIPE_BYTES}
        return subprocess.Popen(  # noqa: S603 - this interpreter, and code of our own
            # No -I: packages may lie in the user's own folder. -P: never take a module from the
            # current folder, which may be a stranger's.
            [sys.executable, "-P", "-c", _BOOTSTRAP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for the scan, which ends its workers itself
            **pipe,
        )

    def read(self, entry: Candidate) -> Digests | LeftAlone | Problem:
        """Read a file, and hold its bytes until the next request.

        Raises
        ------
        PictureError
            If the process ended over it.
        EngineError
            If the process does not start.
        """
        if self._process is None:
            self.start()
        path = entry.path
        match self._ask([path, entry.named]):
            case [str(sha256), str(sha1), stamp]:
                return Digests(sha256, sha1, None if stamp is None else tuple(stamp))
            case [reason, str(detail)]:
                return Problem(path, Reason(reason), detail)
            case kind:
                return LeftAlone(path, Kind(kind))

    def decode(self) -> Picture:
        """Decode the file that was read last.

        Raises
        ------
        PictureError
            If it cannot be decoded, or the process ended over it.
        """
        answer = self._ask(None)
        if "reason" in answer:
            raise PictureError(Reason(answer["reason"]), answer["detail"])
        size = self._job.preprocess.size
        pixels = np.empty((answer["frames"], size, size, 3), np.uint8)
        stream: Any = self._stream("stdout")
        if stream.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise self._crashed()
        return Picture(pixels, answer["width"], answer["height"], answer["format"])

    def kill(self) -> None:
        """End the process at once, whatever it is doing. May be called from another thread."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and let go of it."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _stream(self, name: str) -> IO[bytes]:
        stream: IO[bytes] = getattr(self._process, name)
        return stream

    def _send(self, message: object) -> None:
        stream = self._stream("stdin")
        with contextlib.suppress(BrokenPipeError):  # the answer will be missing
            stream.write(json.dumps(message).encode() + b"\n")
            stream.flush()

    def _receive(self) -> Any:
        line = self._stream("stdout").readline()
        if not line.endswith(b"\n"):
            raise self._crashed()
        return json.loads(line)

    def _ask(self, request: object) -> Any:
        if not self._ready:
            self._receive()
            self._ready = True
        self._send(request)
        return self._receive()

    def _crashed(self) -> PictureError | EngineError:
        process, self._process = self._process, None
        if process is None:  # pragma: no cover - only a process that was started is asked
            return PictureError(Reason.CRASHED, "the decoder is gone")
        code = _end(process)
        if not self._ready:
            return _no_start(f"it ended with {_ended(code)}")
        return PictureError(Reason.CRASHED, f"the decoder crashed on it ({_ended(code)})")


def _no_start(why: str) -> EngineError:
    return EngineError(
        f"the process that decodes pictures does not start ({why}); "
        f"try: {sys.executable} -P -c 'import nsfwscan.worker'"
    )


def _end(process: subprocess.Popen[bytes]) -> int:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    return process.wait()


def _ended(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def serve() -> None:
    """Answer requests until standard input ends: what a worker's process runs."""
    warnings.simplefilter("ignore")
    requests = sys.stdin.buffer
    # Nothing that a library prints may come between the answers.
    answers = open(os.dup(1), "wb")  # noqa: SIM115 - until the process ends
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    job = _job(json.loads(requests.readline()))
    if Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own guard refuses what has twice its limit.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, job.max_pixels // 2 + 1)
    contents: Contents | None = None
    _answer(answers, "ready")
    for line in requests:
        request = json.loads(line)
        if request is None:
            if contents is not None:
                _answer_picture(answers, contents, job)
            contents = None
        else:
            found = read(Candidate(*request), job.max_filesize)
            contents = found if isinstance(found, Contents) else None
            _answer(answers, _told(found))


def _job(message: dict[str, Any]) -> Job:
    return Job(preprocess=Preprocess(**message.pop("preprocess")), **message)


def _told(found: Contents | LeftAlone | Problem) -> object:
    if isinstance(found, Contents):
        return [found.sha256, found.sha1, found.stamp]
    return found.kind if isinstance(found, LeftAlone) else [found.reason, found.detail]


def _answer(stream: IO[bytes], message: object, pixels: bytes | memoryview = b"") -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.write(pixels)
    stream.flush()


def _answer_picture(answers: IO[bytes], contents: Contents, job: Job) -> None:
    try:
        picture = decode(
            contents.data, job.preprocess, frames=job.frames, max_pixels=job.max_pixels
        )
    except PictureError as error:
        _answer(answers, {"reason": error.reason, "detail": error.detail})
        return
    head = {
        "frames": len(picture.pixels), "width": picture.width, "height": picture.height,
        "format": picture.format,
    }  # fmt: skip
    _answer(answers, head, picture.pixels.data.cast("B"))
