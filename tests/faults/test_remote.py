"""Stores and networks that fail: retries, then error records; never a wrong score, never a hang."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.scans import redness
from helpers import encoded
from PIL import Image
from stores import BUCKET, Server, environment

from nsfwscan import Classifier, Record, scan
from nsfwscan.errors import Reason
from nsfwscan.pipeline import fetching

TIMEOUT = 6.0  # a third of which is the limit of a stall
PASSING = ("drop", "429", "500", "503", "stall", "short", "chunks", "refuse")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.load(redness(tmp_path_factory.mktemp("model") / "m.onnx"))


def image(red: int) -> bytes:
    """Return a large image whose score is red/255, so that its body comes in several pieces."""
    noise = Image.effect_noise((300, 300), 90)
    return encoded(Image.merge("RGB", [Image.new("L", (300, 300), red), noise, noise]), "PNG")


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return {f"{name}.png": image(20 * i) for i, name in enumerate(("fine", "changed", *PASSING))}


def scores(images: dict[str, bytes]) -> dict[str, Any]:
    return {name: pytest.approx(20 * i / 255, abs=1e-6) for i, name in enumerate(images)}


def use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)


def urls(server: Server, kind: str) -> list[str]:
    if kind != "web":
        return [f"{kind}://{BUCKET}"]
    return [f"{server.url}/{BUCKET}/{name}" for name in server.objects]


def named(records: list[Record]) -> dict[str, Record]:
    return {record.path.rpartition("/")[2]: record for record in records}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gs", "web"])
def test_what_fails_in_passing_is_fetched_again(
    images: dict[str, bytes], model: Classifier, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    faults = {f"{word}.png": [word] * 2 for word in (*PASSING, "changed")}
    with Server(images, faults) as server:
        use(server, monkeypatch)
        found = named(list(scan(urls(server, kind), model, timeout=TIMEOUT)))
    changed = found.pop("changed.png")
    assert (changed.status, changed.reason) == ("error", Reason.TRUNCATED)
    assert {name: record.score for name, record in found.items()} == {
        name: score for name, score in scores(images).items() if name != "changed.png"
    }
    assert {server.asked[f"{word}.png"] for word in PASSING} == {3}
    assert server.asked["fine.png"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gs", "web"])
def test_what_fails_each_time_is_an_error(
    images: dict[str, bytes], model: Classifier, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    faults = {f"{word}.png": [f"{word}!"] for word in (*PASSING, "changed")}
    with Server(images, faults) as server:
        use(server, monkeypatch)
        found = named(list(scan(urls(server, kind), model, timeout=TIMEOUT)))
    assert found.pop("fine.png").score == 0
    assert {record.status for record in found.values()} == {"error"}
    reasons = {name.removesuffix(".png"): record.reason for name, record in found.items()}
    assert reasons == dict.fromkeys(PASSING, Reason.UNREADABLE) | {
        "changed": Reason.TRUNCATED, "stall": Reason.TIMEOUT,
    }  # fmt: skip
    details = "\n".join(record.detail or "" for record in found.values())
    assert "answered 503 Service Unavailable" in details
    assert "did not answer in time" in details
    assert {server.asked[f"{word}.png"] for word in PASSING} == {4}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drip", "drip head"])
@pytest.mark.parametrize("kind", ["s3", "s3 odd", "gs", "web"])
def test_bytes_that_drip_are_a_timeout(
    model: Classifier, monkeypatch: pytest.MonkeyPatch, kind: str, fault: str
) -> None:
    """No read of theirs takes long, so that a limit of reads does not end them."""
    key = "x//a.png" if kind == "s3 odd" else "a.png"
    with Server({key: image(40)}, {key: [f"{fault}!"]}) as server:
        use(server, monkeypatch)
        (record,) = scan(urls(server, kind.partition(" ")[0]), model, timeout=0.6)
        assert (record.status, record.reason) == ("error", Reason.TIMEOUT)
        if fault == "drip":
            assert server.asked[key] == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drip", "drip head"])
@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_a_page_that_drips_is_a_timeout(
    model: Classifier, monkeypatch: pytest.MonkeyPatch, kind: str, fault: str
) -> None:
    with Server({"a.png": image(40)}, {"page 0": [f"{fault}!"]}) as server:
        use(server, monkeypatch)
        (record,) = scan(urls(server, kind), model, timeout=0.6)
    assert (record.path, record.reason) == (f"{kind}://{BUCKET}", Reason.TIMEOUT)


@pytest.mark.slow
def test_an_answer_without_a_length_is_read_from_a_web_server(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server({"a.png": image(40)}, {"a.png": ["plain!"]}) as server:
        use(server, monkeypatch)
        (record,) = scan(f"{server.url}/{BUCKET}/a.png", model)
        assert record.score == pytest.approx(40 / 255, abs=1e-6)
        (record,) = scan(f"{server.url}/{BUCKET}/a.png", model, max_filesize=10_000)
        assert record.reason == Reason.TOO_LARGE


@pytest.mark.slow
def test_at_most_the_stated_requests_and_bytes_are_in_flight(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of large objects, few are fetched at once: the rest wait with their first pieces."""
    most, taken = 0, fetching.Budget.take

    def take(self: fetching.Budget, size: int | None) -> int:
        nonlocal most
        held = taken(self, size)
        most = max(most, self._held)
        return held

    monkeypatch.setattr(fetching.Budget, "take", take)
    padded = image(40) + bytes(6 << 20)  # PNG ends before it
    with Server({f"{i}.png": padded for i in range(100)}, latency=0.05) as server:
        use(server, monkeypatch)
        records = list(scan(f"s3://{BUCKET}", model))
        assert [record.score for record in records] == [pytest.approx(40 / 255, abs=1e-6)] * 100
        assert 10 * len(padded) <= most <= fetching.BYTES
        assert 8 < server.most_at_once <= fetching.REQUESTS


@pytest.mark.slow
def test_a_scan_that_is_ended_leaves_a_stalled_store(
    images: dict[str, bytes], model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(images, {name: ["stall!"] for name in images if name != "fine.png"}) as server:
        use(server, monkeypatch)
        with scan(f"s3://{BUCKET}", model) as run:
            assert next(run).path == f"s3://{BUCKET}/fine.png"


MILLION = 1_000_000
_MEASURED = """
import itertools, sys
from nsfwscan import Classifier, Selection, scan
def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
run = scan("s3://bucket", Classifier.load(sys.argv[1]), selection=Selection(glob=["*.png"]))
first = next(run)
print("first", first.path, first.status, flush=True)
for record in itertools.islice(run, 9):
    assert record.status == "safe", record
before = held()
rest = sum(record.status == "safe" for record in run)
print("rest", rest, run.skipped.total(), before, held())
"""


def million() -> Iterator[tuple[str, bytes]]:
    """Yield a million keys, of which every ten-thousandth is that of an image."""
    for number in range(MILLION):
        yield f"{number // 1000:04}/{number:07}.{'png' if number % 10_000 == 0 else 'bin'}", b"1"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_million_keys_are_listed_in_bounded_memory(tmp_path: Path) -> None:
    with Server(million(), any_object=encoded(Image.new("RGB", (9, 9)), "PNG")) as server:
        command = [sys.executable, "-c", _MEASURED, str(redness(tmp_path / "m.onnx"))]
        with subprocess.Popen(
            command, env=os.environ | environment(server.url), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            pages = server.pages
            rest = process.stdout.read()
        assert process.returncode == 0
    assert first == f"first s3://{BUCKET}/0000/0000000.png safe\n"
    assert pages < MILLION // 1000 // 2
    word, images, skipped, before, after = rest.split()
    assert (word, int(images), int(skipped)) == ("rest", 90, MILLION - 100)
    assert int(after) - int(before) < 32 << 20
    assert server.pages >= MILLION // 1000
