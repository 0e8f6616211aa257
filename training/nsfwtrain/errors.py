"""The exceptions of training. Each message says which file or option is wrong."""

from nsfwscan import NsfwScanError


class BackboneError(NsfwScanError):
    """A backbone cannot be downloaded or loaded, or belongs to another variant."""


class CacheError(NsfwScanError):
    """A cache cannot be read or written."""


class FolderError(NsfwScanError):
    """A folder cannot be used, or another process uses it."""


class RunError(NsfwScanError):
    """A run does not exist, is not valid, or does not match the given options."""


class VariantError(NsfwScanError):
    """A variant does not exist."""
