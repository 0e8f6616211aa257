"""The errors of an export; each message names the file and the fix."""

from nsfwscan import NsfwScanError


class ConversionError(NsfwScanError):
    """A Keras model is missing, does not load, or cannot be converted to a valid model file."""


class ParityError(NsfwScanError):
    """The scores of a model file differ from those of the model that it was made from."""


class CalibrationError(NsfwScanError):
    """No threshold can be chosen from the labelled images."""
