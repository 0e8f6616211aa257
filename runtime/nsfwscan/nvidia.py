"""What there is of NVIDIA on this machine, and what of it goes together.

The numbers: CUDA 13 has no code for anything before Turing, compute capability 7.5 (its release
notes); cuDNN from 9.11 on fails on Pascal, 6.x, and has no code for older cards (its support
matrix); CUDA 12 needs a driver of the line 525 and CUDA 13 one of the line 580 (CUDA's table of
minor version compatibility).
"""

import ctypes
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_TURING, _VOLTA = (7, 5), (7, 0)
_LAST_CUDNN_FOR_PASCAL = (9, 10)
_DRIVERS = {12: 525, 13: 580}

CUDNN_LIBRARY = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card.

    Attributes
    ----------
    name
        As its driver says.
    capability
        Its compute capability, major and minor.
    memory
        Bytes.
    """

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver, and what it drives.

    Attributes
    ----------
    version
        Such as ``575.57.08``.
    cuda
        The newest CUDA that it takes, major and minor.
    gpus
        The cards, in its order.
    """

    version: str
    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class Libraries:
    """The CUDA libraries that can be loaded; None for one that cannot.

    Attributes
    ----------
    cuda
        Version of the runtime, major and minor.
    cudnn
        Version of cuDNN: major, minor, patch.
    """

    cuda: tuple[int, int] | None
    cudnn: tuple[int, int, int] | None


def driver() -> Driver | str:
    """Ask the driver through NVML; a sentence if there is none, or it does not answer."""
    import pynvml  # noqa: PLC0415 - seldom asked

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"no NVIDIA driver ({error})"
    try:
        newest = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return Driver(
            str(pynvml.nvmlSystemGetDriverVersion()),
            (newest // 1000, newest % 1000 // 10),
            tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())),
        )
    except pynvml.NVMLError as error:
        return f"the NVIDIA driver does not answer ({error})"
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _gpu(nvml: ModuleType, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle).total
    return Gpu(str(nvml.nvmlDeviceGetName(handle)), (int(major), int(minor)), int(memory))


def runtime_library(line: int) -> str:
    """Name the file of CUDA's runtime of a line, such as 12."""
    return f"cudart64_{line}.dll" if sys.platform == "win32" else f"libcudart.so.{line}"


def libraries(line: int) -> Libraries:
    """Load CUDA's runtime of a line, and cuDNN, and ask them for their versions."""
    cuda, cudnn = None, None
    number = ctypes.c_int()
    runtime = _load(runtime_library(line))
    if runtime is not None and runtime.cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
        cuda = (number.value // 1000, number.value % 1000 // 10)
    library = _load(CUDNN_LIBRARY)
    if library is not None:
        library.cudnnGetVersion.restype = ctypes.c_size_t
        version = int(library.cudnnGetVersion())
        cudnn = (version // 10_000, version % 10_000 // 100, version % 100)
    return Libraries(cuda, cudnn)


def missing(names: Iterable[str]) -> list[str]:
    """Name the libraries that cannot be loaded."""
    return [name for name in names if _load(name) is None]


def _load(name: str) -> ctypes.CDLL | None:
    """Load a library from where the wheels put it, as the engines do, or from elsewhere."""
    wheels = find_spec("nvidia")
    places = (wheels and wheels.submodule_search_locations) or ()
    found = (str(path) for place in places for path in Path(place).glob(f"*/*/{name}"))
    for path in (*found, name):
        with suppress(OSError):
            return ctypes.CDLL(path)
    return None


def misfit(gpu: Gpu, found: Driver, loaded: Libraries) -> tuple[str, str] | None:
    """Say what of the versions at hand does not go with a card, and what to do; None if all do."""
    capability = ".".join(map(str, gpu.capability))
    card = f"{gpu.name} (compute capability {capability})"
    if loaded.cuda is not None:
        line = loaded.cuda[0]
        if line >= 13 and gpu.capability < _TURING:
            return (
                f"CUDA {line} has no code for the {card}, which is older than Turing (7.5)",
                'pip uninstall -y onnxruntime-gpu && pip install "nsfwscan[gpu]"',
            )
        least = _DRIVERS.get(line)
        if least is not None and int(found.version.split(".")[0]) < least:
            advice = f"install a driver of the line {least} or newer"
            if line > 12:
                advice += ', or: pip uninstall -y onnxruntime-gpu && pip install "nsfwscan[gpu]"'
            return f"CUDA {line} needs a newer driver than {found.version}", advice
    if (
        loaded.cudnn is not None
        and gpu.capability < _VOLTA
        and loaded.cudnn[:2] > _LAST_CUDNN_FOR_PASCAL
    ):
        version = ".".join(map(str, loaded.cudnn))
        return (
            f"cuDNN {version} does not run on the {card}; 9.10 is the last that does",
            'pip install "nvidia-cudnn-cu12<9.11"',
        )
    return None
