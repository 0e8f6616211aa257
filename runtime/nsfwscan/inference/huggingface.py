"""Read the preprocessing of a foreign model from the configurations of Hugging Face and timm."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nsfwscan.inference.manifest import OPEN

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters by their numbers."""

_CROPS = {"center": "shorter-side", "squash": "stretch"}
"""How timm's ways to crop make an image square."""


@dataclass(frozen=True, slots=True)
class Processing:
    """What happens to an image before it enters a graph.

    Attributes
    ----------
    preprocess
        The fields of `nsfwscan.Preprocess`; what is not known is a text that begins with `OPEN`.
    channels, mean, scale
        As in `nsfwscan.InputSpec`. None: not known.
    """

    preprocess: dict[str, Any]
    channels: str | None = None
    mean: list[float] | None = None
    scale: list[float] | None = None


def processing_of(
    side: int | None, config: Mapping[str, Any], processor: Mapping[str, Any]
) -> Processing:
    """Describe the preprocessing.

    Parameters
    ----------
    side
        The side in pixels of the graph's input. None: the graph takes any.
    config, processor
        The contents of the two files; empty without the file.

    Raises
    ------
    ValueError
        If a configuration has another side than the graph.
    """
    timm = config.get("pretrained_cfg")
    if processor:
        return _of_transformers(side, processor)
    if isinstance(timm, dict):
        return _of_timm(side, timm)
    return Processing(_preprocess(side, None, None, None))


def _of_transformers(side: int | None, processor: Mapping[str, Any]) -> Processing:
    resized, fit = _resized(processor)
    crops = bool(processor.get("do_center_crop"))
    final = _square(processor.get("crop_size")) if crops else resized
    number = processor.get("resample")
    known = type(number) is int and 0 <= number < len(_FILTERS)
    mean, scale = _normalisation(processor)
    if fit == "shorter-side" and not crops:
        fit = None  # the result would not be square
    return Processing(
        _preprocess(_agreed(side, final, PROCESSOR), resized, fit,
                    _FILTERS[int(number or 0)] if known else None),
        "BGR" if processor.get("do_flip_channel_order") else "RGB",
        mean,
        scale,
    )  # fmt: skip


def _resized(processor: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """Return the side that images are resized to, and how; None for what is not certain."""
    size = processor.get("size")
    if processor.get("do_resize") is False or "crop_pct" in processor:
        return None, None
    if isinstance(size, dict) and "shortest_edge" in size and "longest_edge" not in size:
        return _square(size["shortest_edge"]), "shorter-side"
    square = _square(size)
    if isinstance(size, int) and processor.get("do_center_crop"):
        return square, None  # it depends on the class of the processor
    return square, None if square is None else "stretch"


def _square(size: Any) -> int | None:
    if isinstance(size, dict) and size.get("height") == size.get("width"):
        size = size.get("height")
    return size if type(size) is int and size > 0 else None


def _normalisation(
    processor: Mapping[str, Any],
) -> tuple[list[float] | None, list[float] | None]:
    """Return mean and scale for pixel values of 0 to 255."""
    factor = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    mean: Any = [0.0] * 3
    std: Any = [1.0] * 3
    if processor.get("do_normalize", True):
        mean, std = processor.get("image_mean"), processor.get("image_std")
    if processor.get("rescale_offset"):
        return None, None
    is_efficientnet = "EfficientNet" in str(processor.get("image_processor_type"))
    twice = is_efficientnet and processor.get("include_top", True)
    return _converted(mean, std, factor, twice=bool(twice))


def _of_timm(side: int | None, timm: Mapping[str, Any]) -> Processing:
    shape: Any = timm.get("input_size")
    share: Any = timm.get("crop_pct")
    final = shape[-1] if _are_three(shape) and shape[1] == shape[2] else None
    size = _agreed(side, final, CONFIG)
    resized = math.floor(size / share) if size and _is_number(share) and share > 0 else None
    interpolation, fit = timm.get("interpolation"), _CROPS.get(str(timm.get("crop_mode")))
    return Processing(
        _preprocess(size, resized, fit, interpolation if interpolation in _FILTERS else None),
        "RGB",
        *_converted(timm.get("mean"), timm.get("std"), 1 / 255),
    )


def _converted(
    mean: Any, std: Any, factor: Any, *, twice: bool = False
) -> tuple[list[float] | None, list[float] | None]:
    """Return mean and scale of what a configuration states; None if it states no numbers.

    With `twice`, two divisions by `std` are made.
    """
    if not (_are_three(mean) and _are_three(std) and _is_number(factor)) or 0 in (*std, factor):
        return None, None
    found, scale = for_pixel_values(mean, std, factor)
    if twice:
        scale = [float(f"{a / b:.9g}") for a, b in zip(scale, std, strict=True)]
    return (found, scale) if _are_three(found) and _are_three(scale) else (None, None)


def for_pixel_values(
    mean: Sequence[float], std: Sequence[float], factor: float
) -> tuple[list[float], list[float]]:
    """Convert ``(v * factor - mean) / std`` to the mean and the scale of ``(v - mean) * scale``.

    The results have 9 digits: more than float32.
    """
    return (
        [float(f"{value / factor:.9g}") for value in mean],
        [float(f"{factor / value:.9g}") for value in std],
    )


def _agreed(side: int | None, found: int | None, where: str) -> int | None:
    if side is not None and found is not None and side != found:
        raise ValueError(
            f"takes images of {side} x {side}, and {where} beside it makes {found} x {found}: it "
            "is that of another model; move it away"
        )
    return side or found


def _preprocess(
    size: int | None, resize: int | None, fit: str | None, interpolation: str | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "size": size or f"{OPEN}the side in pixels of the square images that the model takes",
        "resize": resize if resize != size else None,
        "fit": fit or f"{OPEN}stretch, or shorter-side to keep the aspect ratio and crop",
        "interpolation": interpolation or f"{OPEN}one of {', '.join(sorted(_FILTERS))}",
    }
    if interpolation == "nearest":
        facts["jpeg_draft_margin"] = None  # a reduced image has other pixels to choose from
    if resize is None:
        facts["resize"] = f"{OPEN}null, or the side to resize to before the centre is cropped"
    return facts


def _are_three(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 3 and all(map(_is_number, values))


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and math.isfinite(value)
