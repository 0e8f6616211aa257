"""The findings of the doctor, which its checks report."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version

from nsfwscan.errors import NsfwScanError
from nsfwscan.inference.session import SEE_DOCTOR


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes
    ----------
    about
        The component that was checked.
    state
        Whether it works. A note is for information: nothing requested depends on it.
    said
        The result, in at most one sentence.
    fix
        The remedy.
    """

    about: str
    state: State
    said: str
    fix: str | None = None


def installed(name: str) -> str | None:
    """Return the version of an installed distribution, or None.

    Where the metadata lacks it, as after an interrupted installation, the answer says so.
    """
    try:
        number: str | None = version(name)
    except PackageNotFoundError:
        return None
    return number or "of unknown version"


def attempt(about: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """Run a check. An exception becomes its finding, so that the other checks still run."""
    try:
        return check()
    except NsfwScanError as error:
        return [Finding(about, State.FAILED, str(error).removesuffix(SEE_DOCTOR))]
    except Exception as error:  # noqa: BLE001 - a broken package raises anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return [Finding(about, State.FAILED, said, "reinstall it in an empty environment")]
