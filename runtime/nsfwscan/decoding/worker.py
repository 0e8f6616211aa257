"""Processes that read and decode images, each spoken to by one thread at a time.

A decoder that crashes takes its own process with it, and not the scan. The processes are started
as programs of their own rather than through `multiprocessing`, which would run the caller's main
script a second time in each of them. `nsfwscan.decoding.worker_pool` keeps idle workers.

A request is a line of JSON on standard input, the answer a line of JSON on standard output, with
the pixels behind it as they are: nothing that comes back can be more than numbers and words. The
other side is `nsfwscan.decoding.worker_main`.
"""

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from nsfwscan.errors import EngineError, ImageError, Reason
from nsfwscan.sources.entry import Entry, Problem, Skipped
from nsfwscan.sources.filetype import Kind

if TYPE_CHECKING:
    from nsfwscan.decoding.parameters import Preprocess
    from nsfwscan.decoding.pixels import DecodedImage

_PIPE_BYTES = 1 << 20
_ANSWER_BYTES = 1 << 16
"""More than any answer has: a detail quotes what a library says of a file."""

_START_SECONDS = 60.0
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives the memory of each image back to the system, and has it handed out and cleared
    # anew for the next one; to keep some saves a tenth of the time (see mallopt(3)).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from nsfwscan.decoding.worker_main import serve; "
    "serve(*json.loads(sys.stdin.buffer.readline()))"
)


@dataclass(frozen=True, slots=True)
class Job:
    """How images are to be read and decoded.

    Attributes
    ----------
    preprocess
        What brings them to the shape that the model takes.
    frames
        Most frames of an animation, 1 or more.
    max_pixels, max_filesize
        Most pixels (width x height) and bytes that an image may have.
    max_memory
        Most bytes of memory that the process may take.
    timeout
        Most seconds that a file may take.
    """

    preprocess: "Preprocess"
    frames: int
    max_pixels: int
    max_filesize: int
    max_memory: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file's bytes are told apart by; the bytes themselves stay with the worker.

    Attributes
    ----------
    sha256, sha1
        Lower-case hex digests.
    stamp
        As in `nsfwscan.sources.reader.Contents`.
    """

    sha256: str
    sha1: str
    stamp: tuple[int, ...] | None


class Worker:
    """A process that reads and decodes, one file at a time.

    Raises
    ------
    EngineError
        If the system starts none.
    """

    def __init__(self) -> None:
        self._ready = self._owing = self._killed = self._overdue = self._spent = False
        self._files = 0
        self._seconds = self._left = self._due = math.inf
        self._clock = threading.Lock()
        apart: dict[str, Any]  # Ctrl-C is for the scan, which ends its workers itself
        theirs: list[int] = []
        self._lifeline: list[int] = []
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            # A pipe that closes when this process ends, however it does: a worker that decodes
            # reads no request, and would not notice.
            theirs, self._lifeline = ([end] for end in os.pipe())
            apart = {"start_new_session": True, "pass_fds": theirs}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, code of our own
                [sys.executable, *_flags(), "-c", _BOOTSTRAP],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
                **apart,
            )
        except OSError as error:
            self._cut()
            raise _no_start(error.strerror or str(error)) from error
        finally:
            for end in theirs:
                os.close(end)
        self._user = _user()
        self._widen()
        self._send(_line([_absolute(path) for path in sys.path]))
        self._send(_line(theirs))

    @property
    def used_up(self) -> bool:
        """Whether it found no memory, and that may be for what it did before this file."""
        return self._spent and self._files > 1

    @property
    def fit(self) -> bool:
        """Whether it can take a request: it runs, owes no answer, and has this process's rights.

        One that found no memory is not: a library that it was about to load may be half there.
        """
        idle = not (self._owing or self._killed or self._spent) and self._user == _user()
        return idle and self._process.poll() is None

    def end_if_overdue(self, slept: float = 0.0) -> None:
        """End the process if its time is up. May be called from another thread.

        Parameters
        ----------
        slept
            Seconds that do not count, since this whole program was suspended.
        """
        with self._clock:
            self._due += slept
            if time.monotonic() > self._due:
                self._overdue = True
                self.kill()

    def read(self, entry: Entry, job: Job) -> Digests | Skipped | Problem:
        """Read a file, and hold its bytes until the next request.

        Raises
        ------
        ImageError
            If the process ended over it.
        EngineError
            If the process did not come up.
        """
        self._come_up()
        self._seconds = self._left = job.timeout
        self._files += 1
        path = entry.location
        limits = {"max_filesize": job.max_filesize, "max_memory": job.max_memory}
        request = {"path": _absolute(path), "named": entry.explicit, **limits}
        with self._request(_line({"read": request})):
            answer = self._receive()
            with self._understanding():
                match answer:
                    case [str(sha256), str(sha1), stamp]:
                        return Digests(sha256, sha1, None if stamp is None else tuple(stamp))
                    case str(kind):
                        return Skipped(path, Kind(kind))
                    case _:
                        return Problem(path, *self._failure(**answer))

    def decode(self, job: Job) -> "DecodedImage":
        """Decode the file that was read last.

        Raises
        ------
        ImageError
            If it cannot be decoded, or the process ended over it.
        """
        with self._request(_decoding(job)):
            answer = self._receive()
            with self._understanding():
                if "reason" not in answer:
                    return self._receive_image(job, **answer)
                failure = self._failure(**answer)
        raise ImageError(*failure)

    def kill(self) -> None:
        """End the process at once, whatever it is doing. May be called from another thread."""
        self._killed = True
        self._process.kill()

    def close(self) -> None:
        """End the process and let go of it."""
        self._process.kill()
        self._cut()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def forget(self) -> None:
        """Let go of a process that is another's: the parent's, after a fork."""
        self._process.returncode = 0
        self._cut()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _cut(self) -> None:
        while self._lifeline:
            os.close(self._lifeline.pop())

    def _come_up(self) -> None:
        if self._ready:
            return
        self._seconds = self._left = _START_SECONDS
        with self._timed():
            self._receive()
        self._ready = True

    def _widen(self) -> None:
        """Have an image fit into the pipe at once, if the system has room for that."""
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(self._stream("stdout"), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _stream(self, name: str) -> IO[bytes]:
        stream: IO[bytes] = getattr(self._process, name)
        return stream

    def _send(self, line: bytes) -> None:
        stream = self._stream("stdin")
        with contextlib.suppress(OSError):  # the answer will be missing
            stream.write(line)
            stream.flush()

    @contextlib.contextmanager
    def _request(self, line: bytes) -> Iterator[None]:
        """Send a request, whose whole answer is received in the ``with`` block."""
        self._owing = True
        with self._timed():
            self._send(line)
            yield
        self._owing = False

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Have `end_if_overdue` end the process if what is left of its time does not do."""
        begun = time.monotonic()
        with self._clock:
            self._due = begun + self._left
        try:
            yield
        finally:
            with self._clock:
                self._due = math.inf
            self._left -= time.monotonic() - begun

    @contextlib.contextmanager
    def _understanding(self) -> Iterator[None]:
        """Take an answer that makes no sense for a crash: a decoder has written where it likes."""
        try:
            yield
        except (TypeError, ValueError, RecursionError) as error:
            self._process.kill()
            raise self._crashed("it answers nonsense") from error

    def _failure(self, reason: str, detail: str, spent: bool) -> tuple[Reason, str]:
        self._spent = bool(spent)
        return Reason(reason), str(detail)

    def _receive_image(
        self,
        job: Job,
        frames: int,
        width: int,
        height: int,
        format: str,  # noqa: A002 - its name
    ) -> "DecodedImage":
        if not (1 <= frames <= job.frames and min(width, height) >= 1):
            raise ValueError(f"{frames} frames of {width} x {height}")
        size = job.preprocess.size
        # The process is to be started before such imports are waited for.
        import numpy as np

        from nsfwscan.decoding.pixels import DecodedImage

        pixels = np.empty((frames, size, size, 3), np.uint8)
        stream: Any = self._stream("stdout")
        if stream.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise self._crashed()
        return DecodedImage(pixels, width, height, format)

    def _receive(self) -> Any:
        line = self._stream("stdout").readline(_ANSWER_BYTES)
        if not line.endswith(b"\n"):
            raise self._crashed()
        with self._understanding():
            return json.loads(line)

    def _crashed(self, ended: str | None = None) -> ImageError | EngineError:
        with contextlib.suppress(subprocess.TimeoutExpired):  # it has closed its end already
            self._process.wait(timeout=1)
        self._process.kill()
        code = self._process.wait()
        try:
            ended = ended or signal.Signals(-code).name
        except ValueError:
            ended = f"exit code {code}"
        if not self._ready and self._overdue:
            return _no_start(f"it is not there after {self._seconds:g} s")
        if not self._ready:
            return _no_start(f"it ended with {ended}")
        if self._overdue:
            return ImageError(
                Reason.TIMEOUT, f"it took longer than {self._seconds:g} s to read and decode"
            )
        return ImageError(Reason.CRASHED, f"the decoder crashed on it ({ended})")


def _flags() -> Iterator[str]:
    """Give the interpreter's options: this one's, as far as they say where code comes from.

    No -I: packages may lie in the user's own folder. -P: never take a module from the current
    folder, which may be a stranger's.
    """
    yield "-P"
    if sys.flags.ignore_environment:
        yield "-E"
    if sys.flags.no_user_site:
        yield "-s"
    yield from ("-X", f"utf8={sys.flags.utf8_mode}")  # names of files are decoded alike


def _absolute(path: str) -> str:
    """Give a path as it is from here: a worker stays in the folder in which it was started."""
    try:
        return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    except OSError:  # that folder is gone
        return path


def _user() -> tuple[int, ...]:
    return (os.geteuid(), os.getegid()) if hasattr(os, "geteuid") else ()


@cache
def _decoding(job: Job) -> bytes:
    how = {"frames": job.frames, "max_pixels": job.max_pixels}
    return _line({"decode": {"preprocess": asdict(job.preprocess), **how}})


def _line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _no_start(why: str) -> EngineError:
    return EngineError(
        f"the process that decodes images does not start ({why}); "
        f"try: {shlex.quote(sys.executable)} -P -c 'import nsfwscan.decoding.worker_main'"
    )
