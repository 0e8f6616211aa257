"""Compare scans of a store, whose answers take 50 ms, with what network and scanner allow.

::

    python benchmarks/remote.py [--latency SECONDS] [--images N] [--rounds N]

The images are made from photos that scikit-image ships, in two sizes; no two are the same. A small
server of S3 answers in a process of its own, over HTTP on the loopback, and waits before each
answer. In each round, one after another and each in its own process:

- a scan of the files on the disk;
- the requests of the scanner and nothing else: all objects are fetched by as many threads, and
  dropped. This is what the network allows;
- a scan of the store;
- in the first round, a scan of 100 objects of the store that asks for one at a time.

The ratio is that of the scan of the store to the slower of the first two. Server and scanner share
the cores, so that what the server needs is a part of the cost of the scan of the store only.
"""

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

_SIZES = {"web, 0.2 MP": ((500, 400), 1600), "camera, 12 MP": ((4000, 3000), 320)}
_SOURCES = ("astronaut.png", "chelsea.png", "coffee.png", "retina.jpg", "rocket.jpg")
_TESTS = Path(__file__).parent.parent / "tests"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Measure scans of a store, as ratios.")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--images", type=int, help="how many of each size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=sorted(_PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        _PARTS[arguments.part](arguments.place, arguments.latency)
        return
    for size, ((width, height), count) in _SIZES.items():
        with tempfile.TemporaryDirectory() as name:
            _make(Path(name), width, height, arguments.images or count)
            _measure(size, name, arguments)


def _measure(size: str, folder: str, arguments: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--latency", str(arguments.latency), "--place", folder]
    ratios = []
    with subprocess.Popen(
        [*command, "--part", "serve"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        more = json.loads(server.stdout.readline())
        for number in range(arguments.rounds):
            seen = {}
            for part in ("local", "network", "remote", "one")[: 3 if number else 4]:
                place = folder if part == "local" else "s3://bucket"
                done = subprocess.run(
                    [sys.executable, __file__, "--part", part, "--place", place],
                    env=os.environ | more, stdout=subprocess.PIPE, text=True, check=True,
                )  # fmt: skip
                seen[part] = json.loads(done.stdout)
            bound = min(seen["local"]["rate"], seen["network"]["rate"])
            ratios.append(seen["remote"]["rate"] / bound)
            rates = ", ".join(f"{part} {one['rate']:.0f}" for part, one in seen.items())
            peaks = ", ".join(f"{seen[part]['peak'] / 2**20:.0f}" for part in ("local", "remote"))
            print(f"{size}: images/s: {rates}; ratio {ratios[-1]:.2f}; peak MiB: {peaks}")
        server.terminate()
    print(f"{size}: median ratio {statistics.median(ratios):.2f}")


def _make(folder: Path, width: int, height: int, count: int) -> None:
    import skimage
    from PIL import Image

    data = Path(skimage.__file__).parent / "data"
    made = []
    for name in _SOURCES:
        with Image.open(data / name) as image:
            out = io.BytesIO()
            image.convert("RGB").resize((width, height)).save(out, "JPEG", quality=88)
            made.append(out.getvalue())
    for number in range(count):
        # Decoders ignore what follows the end of a JPEG.
        data_ = made[number % len(made)] + number.to_bytes(4, "big")
        (folder / f"{number:06}.jpg").write_bytes(data_)


def _serve(folder: str, latency: float) -> None:
    sys.path.insert(0, str(_TESTS))
    from stores import Server, environment

    objects = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    with Server(objects, latency=latency) as server:
        print(json.dumps(environment(server.url)), flush=True)
        time.sleep(86_400)


def _scan(place: str, _latency: float, most: int | None = None) -> None:
    from nsfwscan import Classifier, scan

    classifier = Classifier.load(device="cpu")
    started = time.perf_counter()
    with scan(place, classifier) as run:
        records = list(islice(run, most))
    seconds = time.perf_counter() - started
    assert {record.status for record in records} <= {"safe", "flagged"}
    _say(len(records), seconds)


def _one(place: str, latency: float) -> None:
    from nsfwscan.pipeline import engine

    vars(engine)["REQUESTS"] = 1
    _scan(place, latency, 100)


def _network(place: str, _latency: float) -> None:
    from nsfwscan.pipeline.fetching import REQUESTS
    from nsfwscan.sources.entry import Entry
    from nsfwscan.sources.reader import Fetched, fetch
    from nsfwscan.sources.remote.entries import RemoteEntry
    from nsfwscan.sources.selection import Selection
    from nsfwscan.sources.walk import discover

    def get(entry: object) -> None:
        assert isinstance(entry, Entry)
        assert isinstance(entry, RemoteEntry)
        assert isinstance(fetch(entry, 1 << 30, lambda _: None), Fetched)

    started = time.perf_counter()
    with ThreadPoolExecutor(REQUESTS) as threads:
        done = list(threads.map(get, discover([place], Selection())))
    _say(len(done), time.perf_counter() - started)


def _say(count: int, seconds: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rate": count / seconds, "peak": peak}))


_PARTS: dict[str, Callable[[str, float], None]]
_PARTS = {"serve": _serve, "local": _scan, "network": _network, "remote": _scan, "one": _one}

if __name__ == "__main__":
    main()
