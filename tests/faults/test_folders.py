"""Unusual or huge folders, and files that change during a scan."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import SCRIPT, many, parsed, redness, results
from helpers import encoded
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return redness(tmp_path / "m.onnx")


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Repeat some work in another thread."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_hundred_thousand_files_in_a_folder(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "photos").mkdir()
    image = encoded(Image.new("RGB", (9, 9), "red"), "PNG")
    for i in range(100_000):
        path = tmp_path / "photos" / f"{i:06}.png"
        if i % 50_000 == 0:
            first = path
            first.write_bytes(image)
        else:  # a link is made faster than a file; ext4 allows 65,000 of one file
            path.hardlink_to(first)
    done = run("photos", "-m", model, "-f", "jsonl", "-q", "--no-cache", timeout=600)
    assert done.stderr == ""
    records = parsed(done.stdout)
    assert [Path(one["path"]).stem for one in records] == [f"{i:06}" for i in range(100_000)]
    assert {one["score"] for one in records} == {1.0}


def test_a_tree_a_thousand_levels_deep(run: Run, tmp_path: Path, model: Path) -> None:
    """The deepest path is longer than the system allows in one call."""
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        for level in range(1000):
            Path("d").mkdir()
            os.chdir("d")
            if level % 100 == 99:
                Image.new("RGB", (9, 9), "red").save("a.png")
    finally:
        os.chdir(here)
    done = run("d", "-m", model, "-f", "jsonl", "-q")
    assert done.stderr == ""
    subprocess.run(["rm", "-r", "d"], cwd=tmp_path, check=True)  # pytest cannot delete it
    records = parsed(done.stdout)
    assert [one["path"].count("d/") for one in records] == list(range(100, 1001, 100))
    assert {one["score"] for one in records} == {1.0}


@pytest.mark.slow
def test_link_cycles_do_not_stop_the_scan(run: Run, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "photos"
    many(folder, 3)
    (folder / "up").symlink_to("..")
    (folder / "self.png").symlink_to("self.png")
    (folder / "one.png").symlink_to("other.png")
    (folder / "other.png").symlink_to("one.png")
    for place in ("photos", "photos/up/photos"):
        records = parsed(run(place, "-m", model, "-f", "jsonl").stdout)
        assert Counter(one["status"] for one in records) == {"safe": 3, "error": 3}
    done = run("photos/self.png", "-m", model)
    assert done.returncode == 2
    assert "the link leads back to itself" in done.stdout


@pytest.mark.slow
def test_changing_files_have_one_record_each_and_no_wrong_score_later(
    run: Run, tmp_path: Path, model: Path
) -> None:
    photos = many(tmp_path / "photos", 300)
    versions = [encoded(Image.new("RGB", (9, 9), (shade, 0, 0)), "PNG") for shade in (0, 255)]
    changing = photos[::3]
    turn = iter(range(1 << 62))

    def change() -> None:
        i = next(turn)
        path, data = changing[i % len(changing)], versions[i // len(changing) % 2]
        match i % 4:
            case 0:  # grows
                with path.open("ab") as stream:
                    stream.write(b"more")
            case 1:  # is replaced by a new file
                path.unlink()
                path.write_bytes(data)
            case 2:  # is truncated, then complete again
                path.write_bytes(data[:50])
                path.write_bytes(data)
            case _:  # changes its format
                path.write_bytes(b"GIF89a no more")

    arguments = ["-m", model, "-f", "jsonl", "-q"]
    with meanwhile(change):
        for _ in range(5):
            done = run(*photos, *arguments)
            assert done.stderr == ""
            records = parsed(done.stdout)
            assert [one["path"] for one in records] == [str(photo) for photo in photos]
            still = {one["path"]: one["status"] for one in records}
            assert "error" not in {still[str(photo)] for photo in photos if photo not in changing}
    # The files no longer change: scores of earlier contents must not be used.
    at_once = results(parsed(run(*photos, *arguments).stdout))
    assert at_once == results(parsed(run(*photos, *arguments, "--no-cache").stdout))


def test_a_deleted_folder_does_not_stop_the_scan(run: Run, tmp_path: Path, model: Path) -> None:
    for name in "abcdefgh":
        (tmp_path / "tree" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), "red").save(tmp_path / "tree" / name / "a.png")
    os.mkfifo(tmp_path / "list")
    process = subprocess.Popen(
        [SCRIPT, "--files-from", "list", "-m", model, "-f", "jsonl", "-q"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    descriptor = os.open(tmp_path / "list", os.O_WRONLY)
    os.write(descriptor, b"tree/a\n")
    assert process.stdout is not None
    out = process.stdout.readline()
    shutil.rmtree(tmp_path / "tree")
    os.write(descriptor, b"tree/b\ntree/c/a.png\n")
    os.close(descriptor)
    rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, "")
    assert [(one["path"], one["reason"]) for one in parsed(out + rest)] == [
        ("tree/a/a.png", None),
        ("tree/b", "not-found"),
        ("tree/c/a.png", "not-found"),
    ]
