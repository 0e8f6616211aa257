"""Digests in lower-case hex: of a file, of a folder such as a SavedModel, and their form."""

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

_NO_CONTENT = "fingerprint.pb"
"""TensorFlow writes another one each time that it saves the same model."""

_FORMS = {"sha256": re.compile("[0-9a-f]{64}"), "sha1": re.compile("[0-9a-f]{40}")}


def is_digest(algorithm: Literal["sha256", "sha1"], value: Any) -> bool:
    """Return whether a value is a string that has the form of a digest."""
    return isinstance(value, str) and _FORMS[algorithm].fullmatch(value) is not None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hex.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """Return the SHA-256 of the names and bytes of a folder's files, in lower-case hex.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _NO_CONTENT:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
