"""What can go wrong in training, as types; each message names the file and the row."""

from nsfwscan import NsfwScanError


class LabelError(NsfwScanError):
    """A label or split file that cannot be read or understood."""


class StoreError(NsfwScanError):
    """An object store that cannot be read, written or trusted."""
