"""The exceptions, and the stable words for images without a score.

An invalid set-up raises one of these exceptions. An image that cannot be scored does not end a
scan: it becomes an ``error`` record (see `nsfwscan.record`)::

    NsfwScanError
    ├── ModelError          a model that is missing, not ONNX, or contradicts its manifest
    │   └── ManifestError   a manifest that is missing or invalid
    ├── EngineError         no usable ONNX Runtime
    ├── DeviceError         a device that does not exist or does not work
    ├── ConfigError         an invalid options file
    ├── InputError          an unreadable list of files, or an invalid glob
    ├── OutputError         a report that cannot be written
    ├── CacheError          an unusable cache of earlier scores
    ├── LabelError          an invalid label or split file
    ├── StoreError          an unusable object store
    └── ImageError          an image that cannot be scored

Every message is one sentence for the user. It names the file or the option, the problem, and the
fix.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why an image has no score: the stable words of the record's ``reason``."""

    NOT_FOUND = "not-found"
    VANISHED = "vanished"
    DANGLING_LINK = "dangling-link"
    SPECIAL_FILE = "special-file"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not-a-picture"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too-large"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    UNSCORED = "unscored"


REASONS = {
    Reason.NOT_FOUND: "a given path or URL does not exist",
    Reason.VANISHED: "the file was deleted between listing and opening it",
    Reason.DANGLING_LINK: "a symbolic link whose target does not exist",
    Reason.SPECIAL_FILE: "a pipe, socket or device; such files are never opened",
    Reason.UNREADABLE: "permission was denied, or the disk, the network or the store failed",
    Reason.EMPTY: "the extension is that of an image, but the file is empty",
    Reason.NOT_AN_IMAGE: "the content is not an image, but its name is, or it is standard input",
    Reason.UNSUPPORTED: "nsfwscan does not decode the image's format",
    Reason.TRUNCATED: "the file ends before the image does",
    Reason.CORRUPT: "the image's data is damaged",
    Reason.TOO_LARGE: "more pixels, bytes or memory than the limits allow",
    Reason.CRASHED: "the decoding process crashed on the image",
    Reason.TIMEOUT: "reading or decoding took longer than `--timeout`, or a store did not answer",
    Reason.UNSCORED: "the model returned no probability for the image",
}
"""The meaning of each reason, for the documentation."""


class NsfwScanError(Exception):
    """Base of all errors that this project raises."""


class ModelError(NsfwScanError):
    """A model that is missing, is not an ONNX file, or contradicts its manifest."""


class ManifestError(ModelError):
    """A manifest that is missing or invalid."""


class EngineError(NsfwScanError):
    """ONNX Runtime is missing or broken."""


class DeviceError(NsfwScanError):
    """A device that does not exist or does not work."""


class ConfigError(NsfwScanError):
    """An options file that cannot be read or understood."""


class InputError(NsfwScanError):
    """A list of files that cannot be read, or a glob that is invalid."""


class OutputError(NsfwScanError):
    """A report that cannot be written."""


class CacheError(NsfwScanError):
    """A cache of earlier results that cannot be used."""


class LabelError(NsfwScanError):
    """A label or split file that cannot be read or understood."""


class StoreError(NsfwScanError):
    """An object store that cannot be read, written or trusted."""


class ImageError(NsfwScanError):
    """One image that cannot be scored.

    Parameters
    ----------
    reason
        The stable word.
    detail
        One sentence, without the file's name.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ImageError"], tuple[Reason, str]]:
        """Let it be pickled: by default an exception is made of its message alone."""
        return type(self), (self.reason, self.detail)
