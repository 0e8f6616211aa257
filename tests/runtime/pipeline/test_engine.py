import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import enumerate as enumerate_threads

import numpy as np
import pytest
from helpers import mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess
from nsfwscan.cache.score import CacheKey, Score
from nsfwscan.cache.store import Cache
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.decoding.worker import Worker
from nsfwscan.errors import ModelError, Reason
from nsfwscan.inference.scoring import Scorer, score_images
from nsfwscan.inference.tensors import Predictions
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.batching import Plan
from nsfwscan.pipeline.engine import WINDOW, Engine
from nsfwscan.pipeline.inflight import Outcome, Result
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.filetype import Kind

PREPROCESS = Preprocess(size=8)
OPTIONS = ScanOptions(frames=4, max_filesize=1 << 20)
KEY = CacheKey(bytes(32), "ab" * 32, 1)


class Redness:
    """A model that scores red / 255 and records the number of frames of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.made = 0

    def make(self) -> Callable[[Pixels], Predictions]:
        self.made += 1
        return self

    def __call__(self, pixels: Pixels) -> Predictions:
        self.calls.append(len(pixels))
        return Predictions(np.asarray(pixels[..., 0].mean((1, 2)) / 255, np.float32))


def plan(workers: int = 2, threads: int = 2, batch_size: int = 1, *, pad: bool = False) -> Plan:
    return Plan(workers, threads, batch_size, pad_batches=pad)


def engine(
    score: Callable[[], Callable[[Pixels], Predictions]],
    division: Plan,
    cache: Cache | None = None,
) -> Engine:
    def scorer() -> Scorer:
        return partial(score_images, predict=score(), batch_size=division.batch_size)

    return Engine(PREPROCESS, OPTIONS, division, scorer, cache=cache, key=KEY, rehash=False)


def results(
    entries: Iterator[Found] | list[Found],
    score: Callable[[], Callable[[Pixels], Predictions]],
    division: Plan,
    cache: Cache | None = None,
) -> list[Result]:
    with closing(engine(score, division, cache).run(iter(entries))) as run:
        return list(run)


def image(path: Path, level: int) -> Found:
    Image.new("RGB", (9, 9), (level, 0, 0)).save(path)
    return Entry(str(path), explicit=False)


def images(folder: Path, count: int) -> list[Found]:
    return [image(folder / f"{i}.png", i) for i in range(count)]


def score_of(result: Result) -> float:
    assert isinstance(result, Outcome)
    assert result.score is not None
    return result.score.value


@pytest.mark.parametrize(
    "division",
    [plan(), plan(workers=1, threads=1), plan(workers=4, threads=3, batch_size=7, pad=True)],
)
def test_results_have_the_order_of_the_entries(tmp_path: Path, division: Plan) -> None:
    entries = images(tmp_path, 40)
    entries[3] = Skipped("left", Kind.TEXT)
    entries[5] = Problem("problem", Reason.UNREADABLE, "no")
    (tmp_path / "7.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    found = results(entries, Redness().make, division)
    assert found[3] == Skipped("left", Kind.TEXT)
    errors = {i: r.error.reason for i, r in enumerate(found) if isinstance(r, Outcome) and r.error}
    assert errors == {5: "unreadable", 7: "corrupt"}
    for i in set(range(40)) - {3, 5, 7}:
        assert score_of(found[i]) == pytest.approx(i / 255, abs=1e-6)


def test_identical_files_are_scored_once(tmp_path: Path) -> None:
    score = Redness()
    entries: list[Found] = []
    for i in range(30):
        image(tmp_path / f"{i}.png", i % 3)
        entries.append(Entry(str(tmp_path / f"{i}.png"), explicit=False))
    found = results(entries, score.make, plan(workers=3))
    assert sum(score.calls) == 3
    assert [score_of(result) for result in found[:3]] * 10 == [score_of(r) for r in found]
    assert not any(isinstance(result, Outcome) and result.cached for result in found)


def test_padded_batches_are_filled(tmp_path: Path) -> None:
    score = Redness()
    results(images(tmp_path, 50), score.make, plan(batch_size=8, threads=2, pad=True))
    assert sum(score.calls) == 50
    assert score.made <= 2
    assert score.calls.count(8) >= 4


def test_all_frames_of_an_animation_are_scored(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), (10 * i, 0, 0)) for i in range(4)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    (found,) = results([Entry(str(tmp_path / "a.png"), explicit=False)], Redness().make, plan())
    assert isinstance(found, Outcome)
    assert found.score == Score(round(30 / 255, 6), 9, 9, 4, frame=3, total_frames=4)


def test_entries_are_consumed_at_most_a_window_ahead(tmp_path: Path) -> None:
    taken = 0
    one = image(tmp_path / "a.png", 1)

    def endless() -> Iterator[Found]:
        nonlocal taken
        while True:
            taken += 1
            yield one

    run = engine(Redness().make, plan()).run(endless())
    for _ in range(5):
        next(run)
    time.sleep(0.3)
    assert 5 < taken <= 5 + WINDOW + 2
    run.close()


def test_results_do_not_wait_for_the_next_entry(tmp_path: Path) -> None:
    """A list from a pipe is scanned file by file."""
    more = threading.Event()
    entries = images(tmp_path, 2)

    def slowly() -> Iterator[Found]:
        yield entries[0]
        more.wait()
        yield entries[1]

    run = engine(Redness().make, plan()).run(slowly())
    assert score_of(next(run)) == 0.0
    more.set()
    assert len(list(run)) == 1


def test_an_error_of_the_list_is_raised_after_its_entries(tmp_path: Path) -> None:
    def broken() -> Iterator[Found]:
        yield image(tmp_path / "a.png", 51)
        raise ModelError("the list broke")

    run = engine(Redness().make, plan()).run(broken())
    assert score_of(next(run)) == 0.2
    with pytest.raises(ModelError, match="the list broke"):
        next(run)


def test_a_model_failure_is_raised_at_its_image(tmp_path: Path) -> None:
    def fails(pixels: Pixels) -> Predictions:
        if pixels[0, 0, 0, 0] == 2:
            raise ModelError("no")
        return Predictions(np.zeros(len(pixels), np.float32))

    made = engine(lambda: fails, plan())
    run = made.run(iter(images(tmp_path, 5)))
    assert [score_of(next(run)), score_of(next(run))] == [0, 0]
    with pytest.raises(ModelError, match="no"):
        next(run)
    assert not [thread for thread in enumerate_threads() if thread.name.startswith("decode")]


def test_a_nan_is_not_a_score_and_is_not_stored(tmp_path: Path) -> None:
    def nothing(pixels: Pixels) -> Predictions:
        return Predictions(np.full(len(pixels), np.nan, np.float32))

    entries = images(tmp_path, 1)
    with Cache(tmp_path / "cache") as cache:
        (found,) = results(entries, lambda: nothing, plan(), cache)
        assert isinstance(found, Outcome)
        assert found.error is not None
        assert found.error.reason is Reason.UNSCORED
        (again,) = results(entries, Redness().make, plan(), cache)
    assert score_of(again) == 0.0


def test_closing_ends_all_work_immediately(tmp_path: Path) -> None:
    entries = images(tmp_path, 60)
    made = engine(Redness().make, plan(workers=4))
    run = made.run(iter(entries))
    next(run)
    run.close()
    names = ("decode", "score", "discover", "clock")
    assert not [t for t in enumerate_threads() if t.name.startswith(names)]
    assert not made._supervisor._busy


def test_no_call_scores_more_frames_than_a_batch(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), (10 * i, 0, 0)) for i in range(4)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    score = Redness()
    division = plan(batch_size=3)
    (found,) = results([Entry(str(tmp_path / "a.png"), explicit=False)], score.make, division)
    assert score_of(found) == round(30 / 255, 6)
    assert score.calls == [3, 1]


def test_a_worker_killed_during_its_start_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Worker] = []

    def acquire_doomed() -> Worker:
        worker = Worker()
        started.append(worker)
        if len(started) == 1:
            worker._process.kill()
        return worker

    monkeypatch.setattr("nsfwscan.pipeline.supervision.acquire", acquire_doomed)
    found = results(images(tmp_path, 3), Redness().make, plan(workers=1))
    assert [score_of(result) for result in found] == pytest.approx([0, 1 / 255, 2 / 255], abs=1e-6)


def test_a_script_can_leave_a_scan_unfinished(tmp_path: Path) -> None:
    images(tmp_path, 40)
    model = mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    script = (
        "import sys; from nsfwscan import Classifier, scan\n"
        "run = scan(sys.argv[1], Classifier.load(sys.argv[2])); print(next(run).status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, model],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("safe\n", "")
