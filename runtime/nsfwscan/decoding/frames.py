"""Choose the frames and views of an image to score."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

from PIL import Image

from nsfwscan.decoding.colour import Transform
from nsfwscan.decoding.distinct import Distinct, small_image
from nsfwscan.decoding.gif import Painted
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.squares import (
    check_size,
    in_srgb,
    page_of,
    source_of,
    square_of,
    transform_for,
)
from nsfwscan.decoding.views import Box, is_long, views_of

_LEAST_DURATION, _MOST_DURATION, _DURATION = 10, 60_000, 100.0
"""Milliseconds: browsers show frames of 10 or less for 100. Pages have no duration."""


@dataclass(frozen=True, slots=True)
class Squares:
    """What is scored of an image.

    Attributes
    ----------
    size
        Width and height in pixels, as displayed.
    frames, views
        In mode RGB, S x S.
    frame_numbers
        The index in the file of each frame, then of the frame of each view.
    left_out
        Number of frames and views that differ from others, but are too many to score.
    """

    size: tuple[int, int]
    frames: list[Image.Image]
    views: list[Image.Image]
    frame_numbers: list[int]
    left_out: int


def distinct_squares(
    image: Image.Image,
    preprocess: Preprocess,
    frames: int,
    views: int,
    max_pixels: int,
    data: bytes,
) -> Squares:
    """Return the squares of an animation's frames, and of their views, that differ most."""
    size, has_views, chosen = None, False, _Chosen(preprocess, frames, views)
    first = image.tell()  # of a HEIF collection, the primary image
    others = range(int("default_image" in image.info), getattr(image, "n_frames", 1))
    read = partial(_each_frame, image, preprocess, max_pixels, data)

    def order() -> Iterator[int]:  # not a list: a file may claim 2**31 - 1 frames
        yield first
        yield from (index for index in others if index != first)

    for index, shown, source, transform in read(order()):
        size = size or shown
        has_views |= views > 0 and is_long(source.size)
        chosen.add_frame(source, transform, index, _duration(image))
    if has_views:  # only now is it known which frames are scored
        kept = set(chosen.frames.frames)
        for index, _, source, transform in read(order()):
            if index in kept:
                chosen.add_views(source, transform, index)
    return Squares(
        cast("tuple[int, int]", size), chosen.frames.squares, chosen.views.squares,
        [*chosen.frames.frames, *chosen.views.frames],
        chosen.frames.left_out + chosen.views.left_out,
    )  # fmt: skip


def squares_of_frame(
    image: Image.Image, preprocess: Preprocess, frame: int, max_pixels: int, data: bytes
) -> Squares:
    """Return the square of one frame of an animation, without views."""
    order = range(frame + 1) if image.format == "GIF" else [frame]  # which shows earlier ones too
    read = _each_frame(image, preprocess, max_pixels, data, order)
    ((_, size, source, transform),) = deque(read, maxlen=1)
    square = square_of(source, preprocess, transform, (0, 0, *source.size))
    return Squares(size, [square], [], [frame], 0)


def _each_frame(
    image: Image.Image,
    preprocess: Preprocess,
    max_pixels: int,
    data: bytes,
    order: Iterable[int],
) -> Iterator[tuple[int, tuple[int, int], Image.Image, Transform | None]]:
    """Yield the index, the size as displayed, source and transform of frames."""
    painted, transform = Painted(), transform_for(image, preprocess, data)
    for index in order:
        if index != image.tell():
            image.seek(index)
            check_size(image.size, max_pixels)
        page = page_of(image, data, max_pixels)
        if image.format in {"TIFF", "HEIF"}:  # each has its own
            transform = transform_for(page, preprocess, b"")
        own = data if image.format == "TIFF" else b""
        shown, source = source_of(page, preprocess, transform, own, index, painted)
        yield index, shown, source, transform


def _duration(image: Image.Image) -> float:
    """Return for how many milliseconds the frame is shown that is loaded."""
    stated = image.info.get("duration")
    if isinstance(stated, (int, float)) and _LEAST_DURATION < stated <= _MOST_DURATION:
        return float(stated)
    return _DURATION


def squares_of_one(
    image: Image.Image, preprocess: Preprocess, frame: int, views: int, max_pixels: int, data: bytes
) -> Squares:
    """Return the square of an image, or of the frame that it shows, and those of its views."""
    image = page_of(image, data, max_pixels)
    transform = transform_for(image, preprocess, data)
    is_first = "default_image" not in image.info
    size, source = source_of(image, preprocess, transform, data if is_first else b"")
    whole = square_of(source, preprocess, transform, (0, 0, *source.size))
    chosen = _Chosen(preprocess, 1, views)
    chosen.add_views(source, transform, frame)
    found = chosen.views
    return Squares(size, [whole], found.squares, [frame, *found.frames], found.left_out)


class _Chosen:
    """The frames and the views to score."""

    def __init__(self, preprocess: Preprocess, frames: int, views: int) -> None:
        self._preprocess = preprocess
        self._most_views = views
        self.frames, self.views = Distinct(frames), Distinct(views)

    def add_frame(
        self, source: Image.Image, transform: Transform | None, frame: int, duration: float
    ) -> None:
        """Add a frame that is shown for so long."""
        self._add(self.frames, source, transform, (0, 0, *source.size), frame, duration)

    def add_views(self, source: Image.Image, transform: Transform | None, frame: int) -> None:
        """Add the views of a frame."""
        for box in views_of(source, self._most_views):
            self._add(self.views, source, transform, box, frame)

    def _add(
        self,
        distinct: Distinct,
        source: Image.Image,
        transform: Transform | None,
        box: Box,
        frame: int,
        duration: float = 1,
    ) -> None:
        small = in_srgb(small_image(source, box), transform).convert("RGB")
        square = partial(square_of, source, self._preprocess, transform, box)
        distinct.add(small, square, frame, duration)
