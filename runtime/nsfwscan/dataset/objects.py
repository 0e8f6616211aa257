"""The object store, which keeps images by the SHA-1 of their bytes.

An image's object ID is the lower-case hex SHA-1 of its bytes plus its extension. Its path is
``<store>/object/0b/ee/<object ID>``.
"""

import hashlib
from pathlib import Path

from nsfwscan.errors import StoreError


def object_path(store: Path, object_id: str) -> Path:
    """Return the path of an object in a store, whether or not it exists."""
    return store / "object" / object_id[:2] / object_id[2:4] / object_id


def read_object(store: Path, object_id: str) -> bytes:
    """Read an object and verify its hash.

    Raises
    ------
    StoreError
        If the object cannot be read, or its bytes do not have the SHA-1 of its ID.
    """
    path = object_path(store, object_id)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"object {object_id}: cannot read {path}: {error.strerror}") from error
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != object_id.partition(".")[0]:
        raise StoreError(f"object {object_id}: the bytes of {path} do not have the SHA-1 of its ID")
    return data
