"""What TensorFlow makes of this machine, in the order in which a person would look for a fault."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from nsfwscan.doctor import Finding, State, driven, installed
from nsfwscan.nvidia import Driver, driver, libraries
from nsfwtrain.keras import gpus, tf

TOLERANCE = 1e-4
"""How far a GPU's sums may be from the CPU's, relative to the largest."""


def examine() -> Iterator[Finding]:
    """Look at the versions, the cards, and a convolution on each device.

    Yields
    ------
    Finding
        As it is found.
    """
    names = ("tensorflow", "tf-keras", "tensorflow-hub")
    found = {name: installed(name) for name in names}
    missing = [name for name, number in found.items() if number is None]
    yield Finding(
        "TensorFlow",
        State.FAILED if missing else State.OK,
        f"not installed: {', '.join(missing)}"
        if missing
        else ", ".join(f"{name} {number}" for name, number in found.items()),
        'pip install "nsfwscan[train]"' if missing else None,
    )
    built = tf.sysconfig.get_build_info()
    with_cuda = bool(built.get("is_cuda_build"))
    said = f"CUDA {built.get('cuda_version')}, cuDNN {built.get('cudnn_version')}"
    yield Finding("built for", State.OK, said if with_cuda else "the CPU alone")
    cards = driver()
    if isinstance(cards, Driver):
        line = int(str(built["cuda_version"]).partition(".")[0]) if with_cuda else None
        yield from driven(cards, None if line is None else libraries(line))
    else:
        yield Finding("driver", State.NOTE, cards)
    seen = gpus()
    if isinstance(cards, Driver) and cards.gpus and not seen:
        yield Finding(
            "GPUs",
            State.FAILED,
            "TensorFlow sees none of them: it trains on the CPU",
            'pip install "nsfwscan[train-gpu]" brings the libraries that it needs',
        )
    yield from _convolutions(len(seen))


def _convolutions(cards: int) -> Iterator[Finding]:
    dice = np.random.default_rng(0)
    pictures = dice.random((8, 112, 112, 3), np.float32)
    kernels = dice.random((3, 3, 3, 32), np.float32)
    expected: Any = None
    for place in ("CPU:0", *(f"GPU:{index}" for index in range(cards))):
        about = f"a convolution on {place}"
        try:
            times = []
            for _ in range(4):
                started = time.perf_counter()
                with tf.device(f"/{place}"):
                    sums = tf.nn.conv2d(pictures, kernels, 2, "SAME").numpy()
                times.append(time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - TensorFlow's have no common base
            said = " ".join(str(error).split())[:300]
            yield Finding(about, State.FAILED, said or type(error).__name__)
            continue
        expected = sums if expected is None else expected
        apart = float(np.max(np.abs(sums - expected)) / np.max(np.abs(expected)))
        agrees = apart <= TOLERANCE
        yield Finding(
            about,
            State.OK if agrees else State.FAILED,
            f"{1000 * min(times):.1f} ms" + ("" if place == "CPU:0" else f", {apart:.1e} apart"),
        )
