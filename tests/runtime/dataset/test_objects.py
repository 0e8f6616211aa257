import hashlib
from pathlib import Path

import pytest

from nsfwscan.dataset.objects import object_path, read_object
from nsfwscan.errors import StoreError


def test_objects_are_read_and_verified(tmp_path: Path) -> None:
    sha1 = hashlib.sha1(b"image").hexdigest()
    object_id = f"{sha1}.png"
    path = tmp_path / "object" / sha1[:2] / sha1[2:4] / object_id
    assert object_path(tmp_path, object_id) == path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"image")
    assert read_object(tmp_path, object_id) == b"image"
    path.write_bytes(b"other")
    with pytest.raises(
        StoreError, match=f"object {object_id}: the bytes of .* do not have the SHA-1"
    ):
        read_object(tmp_path, object_id)
    path.unlink()
    with pytest.raises(StoreError, match=r"cannot read .*: No such file"):
        read_object(tmp_path, object_id)
