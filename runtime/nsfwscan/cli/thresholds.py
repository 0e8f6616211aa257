"""Thresholds on the command line: numbers, names, bands."""

import math
from typing import TYPE_CHECKING, Any

import typer

from nsfwscan.errors import InputError

if TYPE_CHECKING:
    from nsfwscan.inference.manifest import Manifest

Threshold = float | str
Band = tuple[Threshold, Threshold]


def threshold_of(value: Any) -> Threshold:
    """Read a threshold: a number from 0 to 1, or a name.

    Raises
    ------
    typer.BadParameter
        If it is neither.
    """
    from nsfwscan.inference.operating import LEVELS

    if value in LEVELS:
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        names = ", ".join(LEVELS)
        raise typer.BadParameter(f"{value!r} is neither a number from 0 to 1 nor one of {names}")
    return number


def band_of(value: Any) -> Band:
    """Read a review band: two thresholds with a colon between them.

    Raises
    ------
    typer.BadParameter
        If it is none.
    """
    if isinstance(value, tuple):  # typer reads values of an options file twice
        return value
    low, colon, high = str(value).partition(":")
    if not colon:
        raise typer.BadParameter(f"{value!r} is no band; write two scores such as 0.2:0.8")
    return threshold_of(low), threshold_of(high)


def resolved(
    manifest: "Manifest", threshold: Threshold | None, band: Band | None
) -> tuple[float, float]:
    """Return the score from which a model's images are flagged, and are so for certain.

    Raises
    ------
    InputError
        If the model has no threshold of a name, or the band is empty.
    """
    low, high = band or (threshold, 0.0)
    try:
        found = [
            manifest.threshold_named(one) if isinstance(one, str) else one for one in (low, high)
        ]
    except ValueError as error:
        raise InputError(str(error)) from error
    start = manifest.threshold if found[0] is None else found[0]
    end = found[1] or 0.0
    if band is not None and start >= end:
        raise InputError(f"--review-band {start:g}:{end:g} is empty; give the lower score first")
    return start, end


def origin(manifest: "Manifest", threshold: Threshold | None, band: Band | None) -> str:
    """Say where the threshold of a scan comes from."""
    if band is not None:
        return "--review-band"
    from nsfwscan.inference.manifest import NOT_STATED

    if threshold is None:
        choice = manifest.threshold_choice
        return "its own" if choice == NOT_STATED else f"its own: {choice}"
    return f"its {threshold} point" if isinstance(threshold, str) else "--threshold"
