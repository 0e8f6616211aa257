"""The process of a worker: start it, exchange bytes with it, end it."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

from nsfwscan.errors import EngineError

_PIPE_BYTES = 1 << 20
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    # By default glibc returns the memory of each image to the system, which must clear it for the
    # next image. Keeping some memory saves a tenth of the time (mallopt(3)).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
_BOOTSTRAP = (
    "import json, sys; sys.path[:], ends = json.loads(sys.stdin.buffer.readline()); "
    "from nsfwscan.decoding.worker_main import main; main(*ends)"
)


class Process:
    """A running `nsfwscan.decoding.worker_main` with its standard input and output.

    Raises
    ------
    EngineError
        If the system cannot start it.
    """

    def __init__(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise EngineError(
                "images are decoded in processes of their own, which a frozen or embedding "
                "program cannot start; run nsfwscan with a Python interpreter"
            )
        theirs = list[int]()
        self._lifeline = list[int]()
        separate: dict[str, Any]  # Ctrl-C must reach only the scan, which ends its workers itself
        if sys.platform == "win32":
            separate = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            # This pipe closes when this process ends, even by a kill. It ends the worker, which
            # does not read its requests while it decodes.
            theirs, self._lifeline = ([end] for end in os.pipe())
            separate = {"start_new_session": True, "pass_fds": theirs}
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - this interpreter, code of our own
                [sys.executable, *_flags(), "-c", _BOOTSTRAP],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
                **separate,
            )
        except OSError as error:
            self._cut_lifeline()
            raise not_started(error.strerror or str(error)) from error
        finally:
            for end in theirs:
                os.close(end)
        self.pid = self._popen.pid
        self._requests = cast("IO[bytes]", self._popen.stdin)
        self.answers = cast("IO[bytes]", self._popen.stdout)
        self._widen()
        paths: list[Any] = sys.path  # Python ignores what is not a string
        setup = [[absolute(path) for path in paths if isinstance(path, str)], theirs]
        self.send(json.dumps(setup).encode() + b"\n")

    def send(self, *parts: bytes | bytearray) -> None:
        """Write to standard input. If the process has ended, reading its answer reports it."""
        with contextlib.suppress(OSError):
            for part in parts:
                self._requests.write(part)
            self._requests.flush()

    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """End the process at once. May be called from another thread."""
        self._popen.kill()

    def wait(self, patience: float) -> str:
        """Wait until the process has ended; after `patience` seconds, end it.

        Returns
        -------
        str
            How it ended: the name of a signal, or the exit code.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=patience)
        self._popen.kill()
        code = self._popen.wait()
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"exit code {code}"

    def close(self) -> None:
        """End the process and release its resources."""
        self._popen.kill()
        self._close_pipes()
        self._popen.wait()

    def forget(self) -> None:
        """Release the resources of a process that belongs to the parent, after a fork."""
        self._popen.returncode = 0
        self._close_pipes()

    def _close_pipes(self) -> None:
        self._cut_lifeline()
        for stream in (self._requests, self.answers):
            with contextlib.suppress(OSError):  # unsent bytes are lost
                stream.close()

    def _cut_lifeline(self) -> None:
        while self._lifeline:
            os.close(self._lifeline.pop())

    def _widen(self) -> None:
        """Enlarge the pipe's buffer for a whole image, if the system allows it."""
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(self.answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def absolute(path: str) -> str:
    """Return a path that does not depend on the current folder, which a worker does not follow."""
    try:
        return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    except OSError:  # the current folder no longer exists
        return path


def not_started(why: str) -> EngineError:
    """Return the error for a process that does not start."""
    return EngineError(
        f"the process that decodes images does not start ({why}); "
        f"try: {shlex.quote(sys.executable)} -P -c 'import nsfwscan.decoding.worker_main'"
    )


def _flags() -> Iterator[str]:
    """Yield the interpreter's options, so that a worker imports the same code as this process.

    -P, because the current folder may be untrusted and must not provide modules. Not -I, because
    packages may be in the user's site folder.
    """
    yield "-P"
    if sys.flags.ignore_environment:
        yield "-E"
    if sys.flags.no_user_site:
        yield "-s"
    yield from ("-X", f"utf8={sys.flags.utf8_mode}")  # both sides decode file names alike
