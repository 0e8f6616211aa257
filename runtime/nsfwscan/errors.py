"""What can go wrong, as types.

A set-up that cannot work raises one of these; an image that cannot be scored
does not end a scan but becomes an ``error`` record (see `nsfwscan.record`)::

    NsfwScanError
    ├── ModelError          no model, no ONNX, or not what its manifest says
    │   └── ManifestError   a manifest that is missing or does not hold together
    ├── EngineError         no usable ONNX Runtime is installed
    ├── DeviceError         the device asked for does not come up
    ├── ConfigError         an options file that cannot be read or understood
    ├── InputError          a list of files that cannot be read, a glob that is none
    ├── OutputError         a report that cannot be written
    ├── CacheError          a cache of earlier results that cannot be used
    ├── LabelError          a label or split file that cannot be read or understood
    ├── StoreError          an object store that cannot be read, written or trusted
    └── ImageError        one image that cannot be scored, and why

Every message is one sentence for the user: it names the file or the option,
says what was found there and what to do about it.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a file has no score: the stable words of the record's ``reason``."""

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


# What each reason means, for the documentation and the help.
REASONS = {
    Reason.NOT_FOUND: "a path that was named does not exist",
    Reason.VANISHED: "the file was there when it was listed and gone when it was opened",
    Reason.DANGLING_LINK: "a symbolic link whose target does not exist",
    Reason.SPECIAL_FILE: "a pipe, socket or device; such files are never opened",
    Reason.UNREADABLE: "no permission, or the disk failed",
    Reason.EMPTY: "the name promises an image, the file has no bytes",
    Reason.NOT_AN_IMAGE: "the name promises an image, the content is something else",
    Reason.UNSUPPORTED: "an image in a format that is not decoded",
    Reason.TRUNCATED: "the file ends before the image does",
    Reason.CORRUPT: "the image's data is damaged",
    Reason.TOO_LARGE: "more pixels, bytes or memory than the limits allow",
    Reason.CRASHED: "the decoder's process ended over it",
    Reason.TIMEOUT: "reading and decoding it took longer than `--timeout` allows",
    Reason.UNSCORED: "the model gave no number for the image",
}


class NsfwScanError(Exception):
    """Base of all errors that this project raises on purpose."""


class ModelError(NsfwScanError):
    """A model that is missing, is no ONNX file, or contradicts its manifest."""


class ManifestError(ModelError):
    """A manifest that is missing, malformed, or inconsistent."""


class EngineError(NsfwScanError):
    """ONNX Runtime is missing or broken."""


class DeviceError(NsfwScanError):
    """The device asked for does not exist or does not come up."""


class ConfigError(NsfwScanError):
    """An options file that cannot be read or understood."""


class InputError(NsfwScanError):
    """A list of files that cannot be read, or a glob that is none."""


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
        The stable word for it.
    detail
        One sentence for a person, without the file's name.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
