"""What can go wrong in training, as types; each message names the file and the row."""

from nsfwscan import NsfwScanError


class BackboneError(NsfwScanError):
    """A backbone that cannot be reached or loaded, or is another variant's."""


class CacheError(NsfwScanError):
    """A cache that cannot be written."""


class RunError(NsfwScanError):
    """A run that is not there, or does not belong to what it is asked for."""


class VariantError(NsfwScanError):
    """A variant that does not exist."""
