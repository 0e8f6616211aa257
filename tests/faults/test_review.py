"""The review, killed."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from acted import reported
from conftest import Run
from faults.scans import start
from helpers import encoded
from PIL import Image

THUMBNAILS = "thumbnails/*/*.jpg"
END_OF_IMAGE = b"\xff\xd9"


def written(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def thumbnails(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the inode and the time stamp of each complete thumbnail."""
    found = {}
    for path in folder.glob(THUMBNAILS):
        if path.read_bytes().endswith(END_OF_IMAGE):
            info = path.stat()
            found[path.name] = info.st_ino, info.st_mtime_ns
    return found


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_killed_review_goes_on_where_it_was(run: Run, tmp_path: Path) -> None:
    count, kills = 300, 3
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    names = [f"photos/{i}.jpg" for i in range(count)]
    for name in names:
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
        (tmp_path / name).write_bytes(encoded(small.resize((400, 300)), "JPEG"))
    reported(tmp_path / "r.jsonl", tmp_path, *names)
    command = ("review", "r.jsonl", "-o", "review")
    review = tmp_path / "review"
    assert run(*command).returncode == 0
    wanted = written(review)
    shutil.rmtree(review)
    kept: dict[str, tuple[int, int]] = {}
    for kill in range(1, kills + 1):
        process = start(*command, cwd=tmp_path)
        while len(list(review.glob(THUMBNAILS))) < count * kill // (kills + 1):
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.communicate()
        found = thumbnails(review)
        assert len(found) < count
        assert not (review / "index.html").exists()
        assert kept.items() <= found.items()
        kept = found
    assert run(*command).returncode == 0
    assert kept.items() <= thumbnails(review).items()
    assert written(review) == wanted
