"""What can go wrong in an export, as types; each message names the file and what to do."""

from nsfwscan import NsfwScanError


class ConversionError(NsfwScanError):
    """A Keras model that is missing, does not load, or does not become a model file of ours."""


class ParityError(NsfwScanError):
    """A model file that does not say what the model it was made from says."""


class CalibrationError(NsfwScanError):
    """Labelled images from which no threshold can be chosen."""
