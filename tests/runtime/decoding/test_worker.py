import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import encoded, load_photo, mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess, decode
from nsfwscan.decoding.protocol import Digests
from nsfwscan.decoding.worker import Worker
from nsfwscan.errors import EngineError, ImageError, Reason
from nsfwscan.limits import LEAST_MEMORY, ScanOptions
from nsfwscan.sources.entry import Entry, Problem, Skipped, stamp_of
from nsfwscan.sources.filetype import Kind

MOST = 1 << 20
PREPROCESS = Preprocess(size=32)
OPTIONS = ScanOptions(frames=4, max_pixels=1 << 28, max_filesize=MOST)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with closing(Worker()) as one:
        yield one


def photo(path: Path) -> Entry:
    path.write_bytes(encoded(load_photo("coffee.png"), "JPEG"))
    return Entry(str(path), explicit=False)


def test_a_worker_and_this_process_decode_the_same_pixels(tmp_path: Path, worker: Worker) -> None:
    frames = [Image.new("RGB", (40, 30), (20 * i, 0, 0)) for i in range(9)]
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    load_photo("coffee.png").resize((300, 100)).save(tmp_path / "c.jpg")
    others = [Entry(str(tmp_path / name), explicit=True) for name in ("b.png", "c.jpg")]
    for entry in (photo(tmp_path / "a.jpg"), *others):
        seen = worker.read(entry, OPTIONS)
        data = Path(entry.location).read_bytes()
        assert isinstance(seen, Digests)
        assert seen.stamp == stamp_of(Path(entry.location).stat())
        image = worker.decode(PREPROCESS, OPTIONS)
        own = decode(
            data, PREPROCESS, frames=OPTIONS.frames, views=OPTIONS.views,
            max_pixels=OPTIONS.max_pixels,
        )  # fmt: skip
        assert np.array_equal(image.pixels, own.pixels)
        assert (image.width, image.height, image.format, image.views) == (
            own.width, own.height, own.format, own.views,
        )  # fmt: skip


def test_the_number_of_frames_that_are_left_out_is_logged(
    tmp_path: Path, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.new("RGB", (40, 30), (20 * i, 0, 0)) for i in range(9)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    worker.read(Entry(str(tmp_path / "a.png")), OPTIONS)
    with caplog.at_level("INFO"):
        assert worker.decode(PREPROCESS, OPTIONS).frames == 4
    assert "a.png': 5 more frames or views differ" in caplog.text


def stream_of(data: bytes, location: str = "-") -> Entry:
    return Entry(location, open=lambda: io.BytesIO(data))


def test_bytes_are_read_and_decoded_like_a_file(tmp_path: Path, worker: Worker) -> None:
    animation = tmp_path / "b.gif"
    shades = [Image.new("RGB", (40, 30), (60 * i, 0, 0)) for i in range(4)]
    shades[0].save(animation, save_all=True, append_images=shades[1:])
    for path in (Path(photo(tmp_path / "a.jpg").location), animation):
        as_file = worker.read(Entry(str(path)), OPTIONS)
        pixels = worker.decode(PREPROCESS, OPTIONS).pixels
        as_stream = worker.read(stream_of(path.read_bytes()), OPTIONS)
        assert isinstance(as_file, Digests)
        assert as_stream == replace(as_file, stamp=None)
        assert np.array_equal(worker.decode(PREPROCESS, OPTIONS).pixels, pixels)


def test_bytes_can_exceed_the_pipe_s_buffer(worker: Worker) -> None:
    data = encoded(Image.effect_noise((1500, 1400), 90), "PNG")
    assert len(data) > 1 << 20
    seen = worker.read(stream_of(data), replace(OPTIONS, max_filesize=len(data)))
    assert isinstance(seen, Digests)
    assert seen.sha256 == hashlib.sha256(data).hexdigest()
    large = worker.read(stream_of(data), replace(OPTIONS, max_filesize=len(data) - 1))
    assert isinstance(large, Problem)
    assert large.reason is Reason.TOO_LARGE
    assert worker.read(stream_of(b"text"), OPTIONS) == Skipped("-", Kind.TEXT)
    assert worker.is_reusable


def test_a_crash_while_bytes_are_sent_is_an_error_of_the_image(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = encoded(Image.effect_noise((1500, 1400), 90), "PNG")
    dies = (
        "import sys; sys.stdin.buffer.readline(); print('[\"Ready\"]', flush=True)\n"
        "sys.stdin.buffer.read(200_000); sys.exit(7)"
    )
    monkeypatch.setattr("nsfwscan.decoding.process._BOOTSTRAP", dies)
    with closing(Worker()) as broken:
        with pytest.raises(ImageError, match="exit code 7") as caught:
            broken.read(stream_of(data), replace(OPTIONS, max_filesize=1 << 26))
        assert caught.value.reason is Reason.CRASHED
        assert not broken.is_reusable
    assert "ended on '-': exit code 7" in caplog.text


def test_a_worker_that_reads_no_bytes_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.effect_noise((1500, 1400), 90), "PNG")
    hangs = (
        "import sys, time; sys.stdin.buffer.readline(); print('[\"Ready\"]', flush=True)\n"
        "time.sleep(60)"
    )
    monkeypatch.setattr("nsfwscan.decoding.process._BOOTSTRAP", hangs)
    with closing(Worker()) as hung:
        threading.Timer(1.5, hung.end_if_overdue).start()
        with pytest.raises(ImageError, match=r"took longer than 0\.5 s"):
            hung.read(stream_of(data), replace(OPTIONS, max_filesize=1 << 26, timeout=0.5))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")
def test_bytes_that_do_not_fit_in_memory_are_too_large(worker: Worker) -> None:
    data = encoded(Image.new("RGB", (8, 8)), "BMP") + bytes(LEAST_MEMORY)
    little = replace(OPTIONS, max_filesize=1 << 30, max_memory=LEAST_MEMORY)
    found = worker.read(stream_of(data), little)
    assert isinstance(found, Problem)
    assert found.reason is Reason.TOO_LARGE
    assert "not enough memory to read it" in found.detail
    assert not worker.is_reusable


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")
@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.slow
def test_a_worker_with_earlier_files_needs_recycling(
    tmp_path: Path, worker: Worker, earlier: int
) -> None:
    little = replace(OPTIONS, max_memory=LEAST_MEMORY)
    for _ in range(earlier):
        worker.read(photo(tmp_path / "b.jpg"), little)
        worker.decode(PREPROCESS, little)
    assert not worker.needs_recycling
    worker.read(large(tmp_path / "a.png"), little)
    with pytest.raises(ImageError, match="not enough memory"):
        worker.decode(PREPROCESS, little)
    assert worker.needs_recycling == bool(earlier)
    assert not worker.is_reusable


def test_files_that_are_not_images_are_skipped(tmp_path: Path, worker: Worker) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.jpg").write_text("b")
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    assert worker.read(Entry(str(tmp_path / "a.txt"), explicit=False), OPTIONS) == Skipped(
        str(tmp_path / "a.txt"), Kind.TEXT
    )
    problem = worker.read(Entry(str(tmp_path / "b.jpg"), explicit=False), OPTIONS)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.NOT_AN_IMAGE
    assert isinstance(worker.read(Entry(str(tmp_path / "c.jpg"), explicit=False), OPTIONS), Digests)
    with pytest.raises(ImageError):
        worker.decode(PREPROCESS, OPTIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_names_of_any_bytes_reach_the_worker(tmp_path: Path, worker: Worker) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/new\nline \xff.jpg")
    photo(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(path)
    assert isinstance(worker.read(Entry(path, explicit=False), OPTIONS), Digests)


def large(path: Path) -> Entry:
    """Write a small file whose decoding takes a second and hundreds of megabytes."""
    Image.new("1", (15_000, 15_000)).save(path)
    return Entry(str(path), explicit=False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")
def test_exceeding_the_memory_limit_is_an_error_of_the_file_and_ends_the_worker(
    tmp_path: Path, worker: Worker
) -> None:
    entry = large(tmp_path / "a.png")
    worker.read(entry, replace(OPTIONS, max_memory=LEAST_MEMORY))
    with pytest.raises(ImageError, match=r"not enough memory .* 268,435,456 bytes") as e:
        worker.decode(PREPROCESS, OPTIONS)
    assert e.value.reason is Reason.TOO_LARGE
    assert not worker.is_reusable


def test_a_worker_that_takes_too_long_is_ended(tmp_path: Path, worker: Worker) -> None:
    entry = large(tmp_path / "a.png")
    threading.Timer(0.3, worker.end_if_overdue).start()
    worker.read(entry, replace(OPTIONS, timeout=0.1))
    with pytest.raises(ImageError, match=r"longer than 0\.1 s to read and decode") as caught:
        worker.decode(PREPROCESS, OPTIONS)
    assert caught.value.reason is Reason.TIMEOUT
    assert not worker.is_reusable


def test_a_worker_that_was_in_time_is_not_ended_later(tmp_path: Path, worker: Worker) -> None:
    worker.read(photo(tmp_path / "a.jpg"), replace(OPTIONS, timeout=1))
    time.sleep(1.1)
    worker.end_if_overdue()
    assert worker.is_reusable


@pytest.mark.slow
def test_suspended_time_does_not_count(tmp_path: Path, worker: Worker) -> None:
    worker.read(large(tmp_path / "a.png"), replace(OPTIONS, timeout=0.1))
    threading.Timer(0.3, worker.end_if_overdue, [60]).start()
    assert worker.decode(PREPROCESS, OPTIONS).width == 15_000


def test_a_crash_is_an_error_of_the_file(tmp_path: Path, worker: Worker) -> None:
    entry = photo(tmp_path / "a.jpg")
    worker.read(entry, OPTIONS)
    assert worker.is_reusable
    os.kill(worker._process.pid, signal.SIGSEGV if os.name != "nt" else signal.SIGTERM)
    worker._process.wait(patience=10)
    with pytest.raises(ImageError, match="the decoder crashed on it") as caught:
        worker.decode(PREPROCESS, OPTIONS)
    assert caught.value.reason is Reason.CRASHED
    assert not worker.is_reusable


def test_a_process_that_does_not_start_is_not_an_error_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = photo(tmp_path / "a.jpg")
    monkeypatch.setattr("nsfwscan.decoding.process._BOOTSTRAP", "raise SystemExit(3)")
    with (
        closing(Worker()) as broken,
        pytest.raises(EngineError, match=r"does not start \(it ended with exit code 3\)"),
    ):
        broken.read(entry, OPTIONS)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(EngineError, match="does not start"):
        Worker()


def test_a_worker_imports_no_module_from_the_current_folder(
    tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('a stranger ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert isinstance(worker.read(photo(tmp_path / "a.jpg"), OPTIONS), Digests)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", "")])
def test_a_program_that_is_no_interpreter_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(EngineError, match="run nsfwscan with a Python interpreter"):
        Worker()


def test_a_path_object_in_the_module_path_is_ignored_as_python_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path, tmp_path])
    with closing(Worker()) as worker:
        assert isinstance(worker.read(photo(tmp_path / "a.jpg"), OPTIONS), Digests)


def test_workers_end_when_the_scan_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from test_worker import *\n"
        "worker = Worker(); worker.read(photo(Path(sys.argv[1])), OPTIONS)\n"
        "print(worker._process.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.jpg")]
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as scan:
        assert scan.stdout is not None
        pid = int(scan.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        scan.kill()
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.01)
    else:
        pytest.fail("the worker outlives the scan")


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """A `multiprocessing` process would run such a script again."""
    photo(tmp_path / "a.jpg")
    model = mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    script = tmp_path / "script.py"
    script.write_text(
        "from nsfwscan import Classifier, scan\n"
        f"print(*(r.status for r in scan({str(tmp_path / 'a.jpg')!r}, "
        f"Classifier.load({str(model)!r}))))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout in {"safe\n", "flagged\n"}


def test_a_relative_path_refers_to_the_current_folder(
    tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker stays in the folder where it started, but paths refer to the current folder."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.jpg")
    (tmp_path / "sub" / "a.jpg").write_bytes(encoded(load_photo("chelsea.png"), "JPEG"))
    here = worker.read(Entry("a.jpg", explicit=False), OPTIONS)
    monkeypatch.chdir(tmp_path / "sub")
    there = worker.read(Entry("a.jpg", explicit=False), OPTIONS)
    assert isinstance(here, Digests)
    assert isinstance(there, Digests)
    assert here.sha256 != there.sha256


@pytest.mark.parametrize(
    "answer",
    [
        "no json", "null", "[" * 60000, '["Digests", "one"]', '["Kind", "no such kind"]',
        '["Failure", "none of ours", "", false]',
    ],
)  # fmt: skip
def test_an_invalid_answer_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """A compromised decoder, or one that overwrites memory, can send any answer."""
    speaks = (
        "import sys; sys.stdin.readline(); print('[\"Ready\"]', flush=True); sys.stdin.readline();"
        f"print({answer!r}, flush=True); sys.stdin.readline()"
    )
    monkeypatch.setattr("nsfwscan.decoding.process._BOOTSTRAP", speaks)
    with closing(Worker()) as odd:
        with pytest.raises(ImageError, match="its answer is invalid") as caught:
            odd.read(photo(tmp_path / "a.jpg"), OPTIONS)
        assert caught.value.reason is Reason.CRASHED
        assert not odd.is_reusable


@pytest.mark.parametrize("frames", ["1000000000", "0", "-1", '"many"', "null"])
def test_an_unexpected_number_of_frames_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: str
) -> None:
    head = f'["ImageHeader", {frames}, 0, 0, 1, 1, "PNG", [0], 1]'
    digests = f'["Digests", "{"a" * 64}", "{"b" * 40}", null]'
    speaks = (
        "import sys; sys.stdin.readline()\n"
        f"for answer in ('[\"Ready\"]', {digests!r}, {head!r}):\n"
        "    print(answer, flush=True); sys.stdin.readline()\n"
    )
    monkeypatch.setattr("nsfwscan.decoding.process._BOOTSTRAP", speaks)
    with closing(Worker()) as odd:
        odd.read(photo(tmp_path / "a.jpg"), OPTIONS)
        with pytest.raises(ImageError, match="its answer is invalid"):
            odd.decode(PREPROCESS, OPTIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_ends_with_its_scan_even_during_decoding(tmp_path: Path) -> None:
    entry = large(tmp_path / "a.png")
    code = (
        "import sys, threading; from nsfwscan.decoding.parameters import Preprocess\n"
        "from nsfwscan.decoding.worker import Worker\n"
        "from nsfwscan.limits import ScanOptions\n"
        "from nsfwscan.sources.entry import Entry\n"
        "worker = Worker(); options = ScanOptions(max_pixels=1 << 28, timeout=1000)\n"
        "worker.read(Entry(sys.argv[1], True), options)\n"
        "arguments = [Preprocess(size=32), options]\n"
        "threading.Thread(target=worker.decode, args=arguments, daemon=True).start()\n"
        "print(worker._process.pid, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, entry.location], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as scan:
        assert scan.stdout is not None
        pid = int(scan.stdout.readline())
        assert Path(f"/proc/{pid}/exe").exists()
        scan.kill()
    until = time.monotonic() + 0.2  # less than decoding takes
    while Path(f"/proc/{pid}/exe").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}/exe").exists()
