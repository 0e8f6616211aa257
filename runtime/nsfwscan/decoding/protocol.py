"""The messages between a scan and its worker processes.

Each message is one line of JSON: the name of its type, then its fields. A `ReadBytes` request is
followed by the bytes to read, and an `ImageHeader` answer by the pixels. The scan validates all
answers, because a compromised or corrupted decoder may send anything.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.errors import Reason
from nsfwscan.sources.entry import Stamp
from nsfwscan.sources.filetype import FORMATS, Kind
from nsfwscan.util.digest import is_digest

ANSWER_BYTES = 1 << 16
"""Most bytes of an answer's line, which quotes at most a few hundred characters of a message,
without the numbers of frames."""

FRAME_BYTES = 12
"""Most bytes of the number of a frame in an answer's line."""

READY = b'["Ready"]\n'
"""The line that a worker sends once it can take requests."""

_MAX_SIDE = (1 << 31) - 1  # pixels: Pillow's own limit
_KINDS, _REASONS = frozenset[str](Kind), frozenset[str](Reason)
_FORMAT_NAMES = frozenset(row.name for row in FORMATS)


class ProtocolError(ValueError):
    """An invalid message."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A request to read a file and hold its bytes.

    Attributes
    ----------
    path
        Absolute path of the file, because the worker's working directory may differ.
    explicit, follow
        As in `nsfwscan.sources.entry.Entry`.
    max_filesize, max_memory
        As in `nsfwscan.limits.ScanOptions`.
    """

    path: str
    explicit: bool
    follow: bool
    max_filesize: int
    max_memory: float


@dataclass(frozen=True, slots=True)
class ReadBytes:
    """A request to hold the `size` bytes that follow it."""

    size: int
    max_memory: float


@dataclass(frozen=True, slots=True)
class Decode:
    """A request to decode the bytes that the worker holds: all of them, or one frame."""

    preprocess: Preprocess
    frames: int
    views: int
    max_pixels: int
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Digests:
    """The answer for an image that was read. The worker holds its bytes.

    Attributes
    ----------
    sha256, sha1, stamp
        As in `nsfwscan.sources.reader.Contents`.
    """

    sha256: str
    sha1: str
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer for an entry that cannot be read or decoded.

    Attributes
    ----------
    reason, detail
        As in the record.
    out_of_memory
        Whether the worker was refused memory.
    """

    reason: Reason
    detail: str
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The answer for a decoded image. Its pixels follow: uint8, (frames + views, S, S, 3).

    Attributes
    ----------
    frames, views
        Number of frames, 1 or more, and of views.
    left_out
        As in `nsfwscan.decoding.frames.Squares`.
    width, height, format, frame_numbers, total_frames
        As in `nsfwscan.decoding.pixels.DecodedImage`.
    """

    frames: int
    views: int
    left_out: int
    width: int
    height: int
    format: str
    frame_numbers: tuple[int, ...]
    total_frames: int


Request = ReadFile | ReadBytes | Decode
Answer = Digests | Kind | Failure | ImageHeader
"""A `Kind` is the answer for an entry that is not an image."""


def to_line(message: Request | Answer) -> bytes:
    """Encode a message."""
    fields: list[Any]
    match message:
        case Kind():
            fields = [message]
        case Decode():
            fields = [
                asdict(message.preprocess), message.frames, message.views, message.max_pixels,
                message.frame,
            ]  # fmt: skip
        case _:
            fields = [getattr(message, name) for name in message.__slots__]
    return json.dumps([type(message).__name__, *fields]).encode() + b"\n"


def parse_request(line: bytes) -> Request:
    """Parse a request. It comes from the scan and is trusted."""
    match json.loads(line):
        case ["ReadFile", *fields]:
            return ReadFile(*fields)
        case ["ReadBytes", *fields]:
            return ReadBytes(*fields)
        case [_, preprocess, *fields]:
            return Decode(Preprocess(**preprocess), *fields)
    raise ProtocolError("not a request")


def parse_read_answer(line: bytes) -> Digests | Kind | Failure:
    """Parse and validate the answer to `ReadFile` or `ReadBytes`.

    Raises
    ------
    ProtocolError
        If the line is not a valid answer.
    """
    match _parsed(line):
        case ["Digests", str(sha256), str(sha1), stamp]:
            if is_digest("sha256", sha256) and is_digest("sha1", sha1):
                return Digests(sha256, sha1, _stamp(stamp))
        case ["Kind", str(kind)] if kind in _KINDS:
            return Kind(kind)
        case ["Failure", *fields]:
            return _failure(*fields)
    raise ProtocolError("not an answer to a request to read")


def parse_decode_answer(line: bytes, most_frames: int, most_views: int) -> ImageHeader | Failure:
    """Parse and validate the answer to `Decode`.

    Raises
    ------
    ProtocolError
        If the line is not a valid answer, or has more frames or views than were asked for.
    """
    match _parsed(line):
        case ["ImageHeader", frames, views, left_out, width, height, str(format_), *places]:
            sides = _is_count(width, _MAX_SIDE) and _is_count(height, _MAX_SIDE)
            squares = _is_count(frames, most_frames) and _is_count(views, most_views, least=0)
            others = _is_count(left_out, _MAX_SIDE, least=0)
            if squares and others and sides and format_ in _FORMAT_NAMES:
                numbers, total = _places(frames + views, *places)
                return ImageHeader(frames, views, left_out, width, height, format_, numbers, total)
        case ["Failure", *fields]:
            return _failure(*fields)
    raise ProtocolError("not an answer to a request to decode")


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON") from error


def _failure(*fields: object) -> Failure:
    match fields:
        case [str(reason), str(detail), bool(out_of_memory)] if reason in _REASONS:
            return Failure(Reason(reason), detail, out_of_memory)
    raise ProtocolError("not a failure")


def _stamp(numbers: object) -> Stamp | None:
    match numbers:
        case None:
            return None
        case [int(), int(), int(), int(), int()] if bool not in map(type, numbers):
            return tuple(numbers)
    raise ProtocolError("not a stamp")


def _places(squares: int, *fields: object) -> tuple[tuple[int, ...], int]:
    """Return the index of each square's frame in the file, and the number of frames."""
    match fields:
        case [list(numbers), int(total)] if _is_count(total, _MAX_SIDE) and len(numbers) == squares:
            if all(_is_count(number, total - 1, least=0) for number in numbers):
                return tuple(numbers), total
    raise ProtocolError("not the places of frames")


def _is_count(number: object, most: int, least: int = 1) -> bool:
    return type(number) is int and least <= number <= most
