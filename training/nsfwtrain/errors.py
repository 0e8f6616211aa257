"""What can go wrong in training, as types; each message names the file and the row."""

from nsfwscan import NsfwScanError


class LabelError(NsfwScanError):
    """A label or split file that cannot be read or understood."""


class StoreError(NsfwScanError):
    """An object store that cannot be read, written or trusted."""


class BackboneError(NsfwScanError):
    """A backbone that cannot be reached or loaded, or is another variant's."""


class CacheError(NsfwScanError):
    """A cache that cannot be written."""


class RunError(NsfwScanError):
    """A run that is not there, or does not belong to what it is asked for."""


class VariantError(NsfwScanError):
    """A variant that does not exist."""
