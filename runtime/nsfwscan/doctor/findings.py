"""What a doctor finds: one thing after the other, none of which ends the examination."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

from nsfwscan.errors import NsfwScanError
from nsfwscan.inference.devices import SEE_DOCTOR


class State(StrEnum):
    """How a finding is."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    about
        What it is.
    state
        Whether it works; a note is worth knowing and keeps nothing from working.
    said
        What was found, in a sentence or less.
    advice
        What to do about it.
    """

    about: str
    state: State
    said: str
    advice: str | None = None


def installed(name: str) -> str | None:
    """Give the version of an installed distribution; None if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


T = TypeVar("T")
Look = Generator[Finding, None, T]


def attempted(about: str, look: Callable[[], Look[T]]) -> Look[T | None]:
    """Look at something; whatever goes wrong is a finding."""
    try:
        return (yield from look())
    except NsfwScanError as error:
        yield Finding(about, State.FAILED, str(error).removesuffix(SEE_DOCTOR))
    except Exception as error:  # noqa: BLE001 - a broken package raises anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        yield Finding(about, State.FAILED, said, "install it anew, in an empty environment")
    return None
