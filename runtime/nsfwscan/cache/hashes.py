"""The hashes that stand for paths and stamps in a cache."""

import hashlib
import os
from collections.abc import Sequence


def hash_of_path(path: str, salt: bytes) -> bytes:
    """Return 16 bytes that stand for a path. The key of the hash is the cache's salt."""
    return hashlib.blake2b(os.fsencode(path), key=salt, digest_size=16).digest()


def hash_of_numbers(numbers: Sequence[int]) -> bytes:
    """Return 16 bytes that stand for a stamp or a device."""
    return hashlib.blake2b(repr(tuple(numbers)).encode(), digest_size=16).digest()


def hash_of_device(path: str) -> bytes:
    """Return 16 bytes that stand for the device on which a folder lies.

    Raises
    ------
    OSError
        If there is no such folder.
    """
    return hash_of_numbers([os.stat(path).st_dev])
