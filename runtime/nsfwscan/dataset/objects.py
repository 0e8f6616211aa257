"""The object store: images by the SHA-1 of their bytes.

An image's object ID is the lower-case hex SHA-1 of its bytes plus its extension. It lies at
``<store>/object/0b/ee/<object ID>``.
"""

import hashlib
from pathlib import Path

from nsfwscan.errors import StoreError


def object_path(store: Path, object_id: str) -> Path:
    """Give the place of an object in a store, be it there or not."""
    return store / "object" / object_id[:2] / object_id[2:4] / object_id


def read_object(store: Path, object_id: str) -> bytes:
    """Read an object.

    Raises
    ------
    StoreError
        If it is missing or cannot be read, or its bytes are not those its ID names.
    """
    path = object_path(store, object_id)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"object {object_id}: cannot read {path}: {error.strerror}") from error
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != object_id.partition(".")[0]:
        raise StoreError(f"object {object_id}: the bytes of {path} are not those its ID names")
    return data
