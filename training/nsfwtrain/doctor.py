"""Check the installed TensorFlow, and whether it computes correctly on this machine."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from nsfwscan.doctor.findings import Finding, State, attempt, installed
from nsfwscan.doctor.gpu import check_driver, severities, with_gpu
from nsfwscan.doctor.nvidia import Driver, load_libraries, missing_libraries, query_driver
from nsfwscan.inference.session import gpu_index

TOLERANCE = 1e-4
"""Largest allowed difference between the results of a GPU and the CPU, relative to the largest."""

_LIBRARIES = (
    "libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11",
    "libcusolver.so.11", "libcusparse.so.12", "libcudnn.so.9",
)  # fmt: skip
"""Libraries that TensorFlow 2.21 loads (its dso_loader.cc); without any of these it uses no GPU."""

_PACKAGES = ("tensorflow", "tf-keras", "tensorflow-hub")


def examine(device: str = "auto") -> Iterator[Finding]:
    """Check the packages, the libraries, the GPUs, and a convolution on each device.

    Parameters
    ----------
    device
        The device that must work: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for any. ``cpu`` uses
        no GPU, so that a training in progress keeps all of the memory.
    """
    versions = {name: installed(name) for name in _PACKAGES}
    absent = [name for name, number in versions.items() if number is None]
    if absent:
        said, fix = f"not installed: {', '.join(absent)}", 'pip install "nsfwscan[train]"'
        yield Finding("TensorFlow", State.FAILED, said, fix)
        return
    said = ", ".join(f"{name} {number}" for name, number in versions.items())
    yield Finding("TensorFlow", State.OK, said)
    built = attempt("build", _check_build)
    yield from built
    if built[0].state is State.FAILED:
        return
    yield from attempt("GPUs", partial(_check_gpus, device))
    for place in _places(device):
        about = f"a convolution on {place}"
        yield from attempt(about, partial(_check_convolution, about, place))


def _check_build() -> list[Finding]:
    from nsfwtrain.model.keras import tf

    built = tf.sysconfig.get_build_info()
    said = "for the CPU only"
    if built.get("is_cuda_build"):
        said = f"for CUDA {built['cuda_version']}, cuDNN {built.get('cudnn_version')}"
    return [Finding("build", State.OK, said)]


def _check_gpus(device: str) -> list[Finding]:
    """Check driver, GPUs and libraries, and let TensorFlow take only the memory it needs."""
    from nsfwtrain.model.keras import gpus, tf

    absent, broken = severities(device)
    driver, seen = query_driver(), gpus()
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    cuda = tf.sysconfig.get_build_info().get("cuda_version")
    libraries = load_libraries(int(str(cuda).partition(".")[0])) if cuda else None
    findings = check_driver(driver, libraries, absent=absent, broken=broken)
    if isinstance(driver, Driver) and driver.gpus and not seen:
        missing = ", ".join(missing_libraries(_LIBRARIES))
        said = "TensorFlow uses none and trains on the CPU"
        said += f": it cannot load {missing}" if missing else ""
        fix = f"pip uninstall -y onnxruntime, then {with_gpu('train-gpu')}"
        findings.append(Finding("GPUs", broken, said, fix))
    return findings


def _places(device: str) -> list[str]:
    """List the devices to compute on: the CPU, the requested one, and those TensorFlow sees."""
    from nsfwtrain.model.keras import gpus

    requested = [f"GPU:{gpu_index(device)}"] if device.startswith("cuda") else []
    count = 0 if device == "cpu" else len(gpus())
    return list(dict.fromkeys(["CPU:0", *requested, *(f"GPU:{index}" for index in range(count))]))


def _check_convolution(about: str, place: str) -> list[Finding]:
    """Compute a convolution on a device, and compare the result of a GPU with the CPU's."""
    from nsfwtrain.model.keras import tf

    if f"/physical_device:{place}" not in {one.name for one in tf.config.list_physical_devices()}:
        return [Finding(about, State.FAILED, "TensorFlow has no such device")]
    tf.config.set_soft_device_placement(False)
    sums, seconds = _convolve(place)
    said = f"{1000 * seconds:.1f} ms"
    if place == "CPU:0":
        return [Finding(about, State.OK, said)]
    expected, _ = _convolve("CPU:0")
    difference = float(np.max(np.abs(sums - expected)) / np.max(np.abs(expected)))
    state = State.OK if difference <= TOLERANCE else State.FAILED
    return [Finding(about, state, f"{said}, {difference:.1e} from the CPU's")]


def _convolve(place: str) -> tuple[Any, float]:
    """Convolve random images on a device; return the result and the shortest time in seconds."""
    from nsfwtrain.model.keras import tf

    random = np.random.default_rng(0)
    images = random.random((8, 112, 112, 3), np.float32)
    kernels = random.random((3, 3, 3, 32), np.float32)
    times = []
    for _ in range(4):  # the first call is slower
        started = time.perf_counter()
        with tf.device(f"/{place}"):
            sums = tf.nn.conv2d(images, kernels, 2, "SAME").numpy()
        times.append(time.perf_counter() - started)
    return sums, min(times)
