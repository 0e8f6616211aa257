"""What TensorFlow makes of this machine, in the order in which a person would look for a fault."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from nsfwscan.doctor.findings import Finding, Look, State, attempted, installed
from nsfwscan.doctor.gpu import driven, states, with_gpu
from nsfwscan.doctor.nvidia import Driver, driver, libraries, missing
from nsfwscan.inference.devices import gpu_index

TOLERANCE = 1e-4
"""How far a GPU's sums may be from the CPU's, relative to the largest."""

_LIBRARIES = (
    "libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11",
    "libcusolver.so.11", "libcusparse.so.12", "libcudnn.so.9",
)  # fmt: skip
"""What TensorFlow 2.21 looks for (its dso_loader.cc); it takes no card if one is missing."""

_PACKAGES = ("tensorflow", "tf-keras", "tensorflow-hub")


def examine(device: str = "auto") -> Iterator[Finding]:
    """Look at the versions, the libraries, the cards, and a convolution on each device.

    Parameters
    ----------
    device
        What is to work: ``cpu``; ``cuda``, ``cuda:N``; ``auto`` is whatever there is. With ``cpu``
        no GPU is touched: a training that runs may have all of its memory.

    Yields
    ------
    Finding
        As it is found.
    """
    found = {name: installed(name) for name in _PACKAGES}
    absent = [name for name, number in found.items() if number is None]
    if absent:
        said, advice = f"not installed: {', '.join(absent)}", 'pip install "nsfwscan[train]"'
        yield Finding("TensorFlow", State.FAILED, said, advice)
        return
    said = ", ".join(f"{name} {number}" for name, number in found.items())
    yield Finding("TensorFlow", State.OK, said)
    line = yield from attempted("build", _build)
    cards = yield from attempted("graphics", partial(_graphics, line, device))
    asked = [f"GPU:{gpu_index(device)}"] if device.startswith("cuda") else []
    there = [f"GPU:{index}" for index in range(cards or 0)] if device != "cpu" else []
    places = dict.fromkeys(["CPU:0", *asked, *there])
    expected: Any = None
    for place in places:
        about = f"a convolution on {place}"
        sums = yield from attempted(about, partial(_convolution, about, place, expected))
        expected = sums if expected is None else expected


def _build() -> Look[int | None]:
    """Tell what TensorFlow was built for; give the line of CUDA."""
    from nsfwtrain.model.keras import tf

    built = tf.sysconfig.get_build_info()
    if not built.get("is_cuda_build"):
        yield Finding("build", State.OK, "for the CPU alone")
        return None
    version = str(built["cuda_version"])
    yield Finding("build", State.OK, f"for CUDA {version}, cuDNN {built.get('cudnn_version')}")
    return int(version.partition(".")[0])


def _graphics(line: int | None, device: str) -> Look[int]:
    """Look at driver, cards and libraries; give the number of cards that TensorFlow takes."""
    from nsfwtrain.model.keras import gpus, tf

    lacking, wrong = states(device)
    cards, seen = driver(), gpus()
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    loaded = None if line is None else libraries(line)
    yield from driven(cards, loaded, lacking=lacking, wrong=wrong)
    if isinstance(cards, Driver) and cards.gpus and not seen:
        why = ", ".join(missing(_LIBRARIES))
        yield Finding(
            "GPUs",
            wrong,
            "TensorFlow takes none of them and trains on the CPU"
            + (f": it cannot load {why}" if why else ""),
            f"pip uninstall -y onnxruntime, then {with_gpu('train-gpu')}",
        )
    return len(seen)


def _convolution(about: str, place: str, expected: Any) -> Look[Any]:
    """Compute something on a device, compare it with the CPU's if that is known, and give it."""
    from nsfwtrain.model.keras import tf

    if f"/physical_device:{place}" not in {one.name for one in tf.config.list_physical_devices()}:
        yield Finding(about, State.FAILED, "TensorFlow has no such device")
        return None
    tf.config.set_soft_device_placement(False)
    dice = np.random.default_rng(0)
    images = dice.random((8, 112, 112, 3), np.float32)
    kernels = dice.random((3, 3, 3, 32), np.float32)
    times = []
    for _ in range(4):  # the first is slower
        started = time.perf_counter()
        with tf.device(f"/{place}"):
            sums = tf.nn.conv2d(images, kernels, 2, "SAME").numpy()
        times.append(time.perf_counter() - started)
    said = f"{1000 * min(times):.1f} ms"
    if expected is None:
        yield Finding(about, State.OK, said)
        return sums
    apart = float(np.max(np.abs(sums - expected)) / np.max(np.abs(expected)))
    state = State.OK if apart <= TOLERANCE else State.FAILED
    yield Finding(about, state, f"{said}, {apart:.1e} from the CPU's")
    return sums
