"""What can go wrong in an export, as types; each message names the file and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from nsfwscan import NsfwScanError


class ConversionError(NsfwScanError):
    """A Keras model that is missing, does not load, or does not become a model file of ours."""


class ParityError(NsfwScanError):
    """A model file that does not say what the model it was made from says."""


class CalibrationError(NsfwScanError):
    """Labelled pictures from which no threshold can be chosen."""


class MissingExtraError(NsfwScanError):
    """A package that is needed and not installed."""


@contextmanager
def needing_extra(command: str) -> Iterator[None]:
    """Say which extra to install where an import fails.

    Parameters
    ----------
    command
        What needs it.

    Raises
    ------
    MissingExtraError
        If a module that is imported inside is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{command} needs {(error.name or '').partition('.')[0]}, which is not "
            'installed: pip install "nsfwscan[cpu,export]"'
        ) from error
