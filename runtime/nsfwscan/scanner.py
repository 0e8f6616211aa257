"""Scan files and folders: one record for each picture, as they come, in bounded memory.

Worker threads read and decode ahead (the decoders release the interpreter's lock) while the
caller's thread scores what is ready; at most a window of files is under way at any time.
"""

import hashlib
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import BinaryIO

import numpy as np
from PIL import Image

from nsfwscan.classifier import Classifier
from nsfwscan.discover import (
    Found,
    LeftAlone,
    Problem,
    discover,
    problem_of,
    special_file,
)
from nsfwscan.errors import PictureError, Reason
from nsfwscan.filetype import HEAD_BYTES, Kind, kind_of, promised_format, sniff
from nsfwscan.limits import FRAMES, MAX_FILESIZE, MAX_PIXELS
from nsfwscan.parallel import available_cores, map_ahead
from nsfwscan.preprocess import Picture, Preprocess, decode
from nsfwscan.record import Record
from nsfwscan.selection import Selection

_MODEL_DIGITS = 12
_PIECE_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class _Examined:
    """What a worker found in one file: a picture, a reason why there is none, or neither."""

    path: str
    picture: Picture | None = None
    error: PictureError | None = None
    sha256: str | None = None
    sha1: str | None = None


class Scan(Iterator[Record]):
    """A scan under way: iterate over it for its records. Made by `scan`.

    Attributes
    ----------
    settings : mapping of str to object
        The options in use, those chosen automatically included, by name.
    left_alone : collections.Counter of Kind
        What was found so far and is no picture, or was not wanted.
    examined : int
        How many entries are done with: records given and entries left alone.
    """

    def __init__(
        self, records: Generator[Record], left_alone: Counter[Kind], settings: Mapping[str, object]
    ) -> None:
        self._records = records
        self._given = 0
        self.left_alone = left_alone
        self.settings = settings

    def __next__(self) -> Record:
        """Give the next record."""
        record = next(self._records)
        self._given += 1
        return record

    def close(self) -> None:
        """End the scan: no further file is begun, and the worker threads are gone."""
        self._records.close()

    @property
    def examined(self) -> int:
        """How many entries are done with."""
        return self._given + self.left_alone.total()


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    classifier: Classifier,
    *,
    threshold: float | None = None,
    frames: int = FRAMES,
    exact: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_filesize: int = MAX_FILESIZE,
    selection: Selection | None = None,
    on_left_alone: Callable[[LeftAlone], None] | None = None,
) -> Scan:
    """Scan files and folders for pictures and score them.

    Parameters
    ----------
    paths
        Files and folders, or one of them. An iterator is consumed as the scan goes on.
    classifier
        The model.
    threshold
        Score in [0, 1] from which a picture is flagged; None is the model's own.
    frames
        Most frames of an animation to score, 1 or more.
    exact
        Decode JPEG files in full, whatever the model's `Preprocess` allows.
    batch_size
        Frames that the model scores at a time; None is 8 on the CPU, 32 on a GPU.
    workers
        Threads that read and decode; None is the number of cores granted to this process.
    max_pixels
        Most pixels (width x height) that a picture may have.
    max_filesize
        Most bytes that a picture file may have.
    selection
        Which files below folders are wanted; None is all but hidden and ignored ones.
    on_left_alone
        Called with each entry that is no picture, or not wanted.

    Returns
    -------
    Scan
        An iterator of `Record`, in the order in which the files are found: one for each picture,
        and one for each entry that may be a picture and could not be looked into.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    if threshold is None:
        threshold = classifier.manifest.threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    if batch_size is None:
        batch_size = 8 if classifier.device == "cpu" else 32
    if workers is None:
        workers = available_cores()
    numbers = {
        "frames": frames, "batch_size": batch_size, "workers": workers,
        "max_pixels": max_pixels, "max_filesize": max_filesize,
    }  # fmt: skip
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    if max_pixels > MAX_PIXELS and Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own guard covers the whole process, and refuses what has twice its limit.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    preprocess = classifier.manifest.preprocess
    examine = partial(
        _examine,
        preprocess=replace(preprocess, draft_margin=None) if exact else preprocess,
        frames=frames,
        max_pixels=max_pixels,
        max_filesize=max_filesize,
    )
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    left_alone: Counter[Kind] = Counter()
    found = discover(paths, selection or Selection())
    window = 2 * workers + batch_size
    examined = map_ahead(examine, found, workers=workers, window=window)
    pictures = _without(examined, left_alone, on_left_alone)
    records = _score(pictures, classifier, threshold, batch_size)
    settings = {"threshold": threshold, "exact": exact, **numbers}
    return Scan(records, left_alone, settings)


def _without(
    examined: Generator[_Examined | LeftAlone],
    left_alone: Counter[Kind],
    notice: Callable[[LeftAlone], None] | None,
) -> Generator[_Examined]:
    with closing(examined):
        for result in examined:
            if isinstance(result, LeftAlone):
                left_alone[result.kind] += 1
                if notice is not None:
                    notice(result)
            else:
                yield result


def _score(
    examined: Generator[_Examined], classifier: Classifier, threshold: float, batch_size: int
) -> Generator[Record]:
    """Turn examined files into records, scoring as many frames at a time as make a batch."""
    batch: list[_Examined] = []
    frames = 0
    with closing(examined):
        for result in examined:
            batch.append(result)
            frames += 0 if result.picture is None else len(result.picture.pixels)
            # A run of files without pictures must not pile up either.
            if frames >= batch_size or len(batch) >= 4 * batch_size or not frames:
                yield from _records(batch, classifier, threshold, batch_size)
                batch, frames = [], 0
    yield from _records(batch, classifier, threshold, batch_size)


def _records(
    batch: list[_Examined], classifier: Classifier, threshold: float, batch_size: int
) -> Generator[Record]:
    pictures = [result.picture for result in batch if result.picture is not None]
    scores = iter(())
    if pictures:
        pixels = np.concatenate([picture.pixels for picture in pictures])
        scores = iter(
            np.concatenate(
                [
                    classifier.predict(pixels[start : start + batch_size])
                    for start in range(0, len(pixels), batch_size)
                ]
            )
        )
    for result in batch:
        picture, error = result.picture, result.error
        count = 0 if picture is None else len(picture.pixels)
        # Rounded before it is compared, so that a record agrees with itself.
        frames = [float(next(scores)) for _ in range(count)]
        if any(map(math.isnan, frames)):
            error, count = PictureError(Reason.UNSCORED, "the model gave no number for it"), 0
        score = round(max(frames), 6) if count else None
        yield Record(
            path=result.path,
            status="error" if score is None else "flagged" if score >= threshold else "safe",
            score=score,
            threshold=threshold,
            reason=None if error is None else error.reason,
            detail=None if error is None else error.detail,
            sha256=result.sha256,
            sha1=result.sha1,
            width=None if picture is None else picture.width,
            height=None if picture is None else picture.height,
            frames=count,
            model=classifier.sha256[:_MODEL_DIGITS],
            device=classifier.device,
        )


def _failed(problem: Problem) -> _Examined:
    return _Examined(problem.path, error=PictureError(problem.reason, problem.detail))


def _examine(
    entry: Found,
    *,
    preprocess: Preprocess,
    frames: int,
    max_pixels: int,
    max_filesize: int,
) -> _Examined | LeftAlone:
    """Read one file and decode it, if it is a picture."""
    if isinstance(entry, LeftAlone):
        return entry
    if isinstance(entry, Problem):
        return _failed(entry)
    path = entry.path
    try:
        with _open(path, follow=entry.named) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                return _failed(special_file(path, status.st_mode))
            head = stream.read(HEAD_BYTES)
            problem = _refusal(path, head, status.st_size, max_filesize)
            if problem is not None:
                return problem
            data = _read_on(stream, head, max_filesize)
    except (OSError, ValueError) as error:
        return _failed(problem_of(path, error, named=entry.named))
    except MemoryError:
        detail = "there is not enough memory to read it"
        return _failed(Problem(path, Reason.TOO_LARGE, detail))
    if len(data) > max_filesize:  # it has grown since its size was asked for
        return _failed(_too_large(path, len(data), max_filesize))
    digests = (
        hashlib.sha256(data).hexdigest(),
        hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    )
    try:
        picture = decode(data, preprocess, frames=frames, max_pixels=max_pixels)
    except PictureError as error:
        return _Examined(path, None, error, *digests)
    return _Examined(path, picture, None, *digests)


def _refusal(path: str, head: bytes, size: int, max_filesize: int) -> _Examined | LeftAlone | None:
    """Decide by its first bytes what becomes of a file that is not worth reading; else None."""
    name = PurePath(path).name
    if sniff(head, name) is not None:
        return _failed(_too_large(path, size, max_filesize)) if size > max_filesize else None
    promised, kind = promised_format(name), kind_of(head, name)
    if promised is None:
        return LeftAlone(path, kind)
    named = f"named like a {promised.name} picture"
    if kind is Kind.EMPTY:
        return _failed(Problem(path, Reason.EMPTY, f"{named}, but empty"))
    if promised.plugin is None and kind is Kind.OTHER:
        detail = f"{named}, which is not decoded; convert it to PNG or JPEG"
        return _failed(Problem(path, Reason.UNSUPPORTED, detail))
    looks = "" if kind is Kind.OTHER else f"; it looks like a {kind}"
    detail = f"{named}, but the content is none{looks}"
    return _failed(Problem(path, Reason.NOT_A_PICTURE, detail))


def _too_large(path: str, size: int, most: int) -> Problem:
    detail = f"{size:,} bytes are more than the limit of {most:,}"
    return Problem(path, Reason.TOO_LARGE, detail)


def _read_on(stream: BinaryIO, head: bytes, most: int) -> bytes:
    """Read to the end, or until it is clear that there are more than `most` bytes."""
    pieces, size = [head], len(head)
    while size <= most and (piece := stream.read(_PIECE_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _open(path: str, *, follow: bool) -> BinaryIO:
    """Open a file for reading; what was a file when it was found may be a pipe or a link by now."""
    more = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    return open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | more))
