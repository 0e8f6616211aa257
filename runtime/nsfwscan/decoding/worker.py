"""Processes that read and decode images, each used by one thread at a time.

If a decoder crashes, only its own process ends. Workers are not `multiprocessing` processes: each
of those would run the caller's main script again. `nsfwscan.decoding.worker_main` is the program of
a worker, `nsfwscan.decoding.protocol` defines the messages, and `nsfwscan.decoding.worker_pool`
keeps idle workers.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nsfwscan.decoding.process import Process, absolute, not_started
from nsfwscan.decoding.protocol import (
    ANSWER_BYTES,
    FRAME_BYTES,
    READY,
    Decode,
    Digests,
    Failure,
    ImageHeader,
    ProtocolError,
    ReadBytes,
    ReadFile,
    parse_decode_answer,
    parse_read_answer,
    to_line,
)
from nsfwscan.errors import EngineError, ImageError, Reason
from nsfwscan.limits import ScanOptions
from nsfwscan.sources.entry import Entry, Problem, Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.reader import read_stream

if TYPE_CHECKING:
    from nsfwscan.decoding.parameters import Preprocess
    from nsfwscan.decoding.pixels import DecodedImage

_log = logging.getLogger("nsfwscan.decoding")

_START_SECONDS = 60.0


class _State(Enum):
    STARTING = auto()  # it has not yet reported that it is ready
    READY = auto()
    BUSY = auto()  # it has not yet answered the last request


class _End(Enum):
    """Why the scan ended the process."""

    STOPPED = auto()
    OVERDUE = auto()
    OUT_OF_MEMORY = auto()


class Worker:
    """A process that reads and decodes one file at a time.

    Raises
    ------
    EngineError
        If the system cannot start it.
    """

    def __init__(self) -> None:
        self._state = _State.STARTING
        self._end: _End | None = None
        self._files = 0
        self._location = ""
        self._clock = threading.Lock()
        self._timeout = self._left = _START_SECONDS
        self._due = math.inf
        self._user = _user()
        self._process = Process()
        _log.debug("started worker process %d", self._process.pid)

    @property
    def needs_recycling(self) -> bool:
        """Whether it ran out of memory, and a new process, without earlier files, may not."""
        return self._end is _End.OUT_OF_MEMORY and self._files > 1

    @property
    def is_reusable(self) -> bool:
        """Whether it is running and idle, has this process's user, and has not run out of memory.

        After it ran out of memory, one of its libraries may be loaded only in part.
        """
        idle = self._state is not _State.BUSY and self._end is None
        return idle and self._user == _user() and self._process.is_running()

    def read(
        self, entry: Entry, options: ScanOptions, data: bytes | bytearray | None = None
    ) -> Digests | Skipped | Problem:
        """Read an entry. The process holds its bytes until the next request.

        Parameters
        ----------
        entry
            The entry.
        options
            Only `max_filesize`, `max_memory` and `timeout` apply.
        data
            The bytes, if they have been read.

        Raises
        ------
        ImageError
            If the process ended during the request.
        EngineError
            If the process did not start.
        """
        self._location = entry.location
        if data is None and not entry.is_file:
            found = read_stream(entry, options.max_filesize)
            if not isinstance(found, bytes):
                return found
            data = found
        if data is not None:
            line = to_line(ReadBytes(len(data), options.max_memory))
        else:
            path = absolute(entry.location)
            limits = (options.max_filesize, options.max_memory)
            line = to_line(ReadFile(path, entry.explicit, entry.follow, *limits))
        self._await_start()
        self._files += 1
        self._timeout = self._left = options.timeout
        with self._exchange(line, data or b"") as first:
            answer = parse_read_answer(first)
        match answer:
            case Digests():
                return answer
            case Kind():
                return Skipped(entry.location, answer)
            case Failure():
                return Problem(entry.location, *self._failure(answer))

    def decode(
        self, preprocess: "Preprocess", options: ScanOptions, frame: int | None = None
    ) -> "DecodedImage":
        """Decode the entry that was read last.

        Parameters
        ----------
        preprocess
            The parameters of decoding.
        options
            Only `frames`, `views` and `max_pixels` apply.
        frame
            The index of the only frame to decode; None for those that `options` admits.

        Raises
        ------
        ImageError
            If the entry cannot be decoded, or if the process ended during the request.
        """
        limits = options.frames, options.views, options.max_pixels
        line = _decode_line(preprocess, *limits, frame)
        with self._exchange(line, most=options.frames + options.views) as first:
            answer = parse_decode_answer(first, options.frames, options.views)
            if isinstance(answer, ImageHeader):
                if answer.left_out:
                    _log.info(
                        "%r: %d more frames or views differ from those that are scored "
                        "(see --frames and --views)", self._location, answer.left_out,
                    )  # fmt: skip
                return self._receive_image(answer, preprocess.size)
        raise ImageError(*self._failure(answer))

    def end_if_overdue(self, slept: float = 0.0) -> None:
        """End the process if it has exceeded its time. May be called from another thread.

        Parameters
        ----------
        slept
            Seconds to ignore, because this program was suspended.
        """
        with self._clock:  # never ends a process that has answered
            self._due += slept
            if time.monotonic() > self._due:
                self._kill(_End.OVERDUE)

    def kill(self) -> None:
        """End the process at once. May be called from another thread."""
        self._kill(_End.STOPPED)

    def close(self) -> None:
        """End the process and release its resources."""
        self._process.close()

    def forget(self) -> None:
        """Release the resources of a process that belongs to the parent, after a fork."""
        self._process.forget()

    def _kill(self, why: _End) -> None:
        self._end = self._end or why
        self._process.kill()

    def _await_start(self) -> None:
        if self._state is _State.STARTING:
            with self._timed():
                if self._receive_line() != READY:
                    self.kill()
                    raise not_started("its answer is invalid")
            self._state = _State.READY

    @contextlib.contextmanager
    def _exchange(self, *message: bytes | bytearray, most: int = 0) -> Iterator[bytes]:
        """Send a request and yield the answer's line. The block parses it and reads the rest.

        The answer has at most `most` numbers of frames.
        """
        self._state = _State.BUSY
        try:
            with self._timed():
                self._process.send(*message)
                yield self._receive_line(ANSWER_BYTES + most * FRAME_BYTES)
        except ProtocolError as error:  # a decoder has overwritten memory
            raise self._ended("its answer is invalid") from error
        self._state = _State.READY

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Run the clock for the file's remaining time; `end_if_overdue` enforces it.

        The clock stops between reading and decoding.
        """
        started = time.monotonic()
        with self._clock:
            self._due = started + self._left
        try:
            yield
        finally:
            with self._clock:
                self._due = math.inf
            self._left -= time.monotonic() - started

    def _receive_line(self, limit: int = ANSWER_BYTES) -> bytes:
        line = self._process.answers.readline(limit)
        if not line.endswith(b"\n"):
            raise self._ended()
        return line

    def _receive_image(self, header: ImageHeader, size: int) -> "DecodedImage":
        # Importing NumPy here lets the worker process start while NumPy loads.
        import numpy as np

        from nsfwscan.decoding.pixels import DecodedImage

        pixels = np.empty((header.frames + header.views, size, size, 3), np.uint8)
        stream: Any = self._process.answers
        if stream.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise self._ended()
        return DecodedImage(
            pixels, header.width, header.height, header.format, header.views,
            header.frame_numbers, header.total_frames,
        )  # fmt: skip

    def _failure(self, failure: Failure) -> tuple[Reason, str]:
        if failure.out_of_memory:
            self._kill(_End.OUT_OF_MEMORY)
        return failure.reason, failure.detail

    def _ended(self, how: str | None = None) -> ImageError | EngineError:
        """End the process if it has not ended, and return the error for the request."""
        how = how or self._process.wait(patience=1)  # it has already closed its output
        self._process.kill()
        overdue = self._end is _End.OVERDUE
        if self._state is _State.STARTING:
            return not_started(
                f"it is not ready after {_START_SECONDS:g} s" if overdue else f"it ended with {how}"
            )
        if overdue:
            how = f"it took longer than {self._timeout:g} s to read and decode"
        if self._end is not _End.STOPPED:
            _log.warning(
                "worker process %d ended on %r: %s", self._process.pid, self._location, how
            )
        if overdue:
            return ImageError(Reason.TIMEOUT, how)
        return ImageError(Reason.CRASHED, f"the decoder crashed on it ({how})")


def _user() -> tuple[int, ...]:
    return (os.geteuid(), os.getegid()) if hasattr(os, "geteuid") else ()


@lru_cache
def _decode_line(
    preprocess: "Preprocess", frames: int, views: int, max_pixels: int, frame: int | None
) -> bytes:
    return to_line(Decode(preprocess, frames, views, max_pixels, frame))
