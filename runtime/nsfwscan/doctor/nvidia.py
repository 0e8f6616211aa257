"""What there is of NVIDIA on this machine, and what of it goes together.

The numbers: ONNX Runtime 1.26 and TensorFlow 2.21 hold code from compute capability 6.0, Pascal, on
(seen in their libraries); CUDA 13 has none for anything before Turing, 7.5 (its release notes);
cuDNN from 9.11 on fails on Pascal, 6.x (its support matrix); CUDA 12 needs a driver of the line 525
and CUDA 13 one of the line 580 (CUDA's table of minor version compatibility), which is also the
last line that knows cards before Turing (NVIDIA's deprecation schedule).
"""

import ctypes
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_PASCAL, _VOLTA, _TURING = (6, 0), (7, 0), (7, 5)
_LAST_CUDNN_FOR_PASCAL = (9, 10)
_DRIVERS = {12: 525, 13: 580}
_LAST_DRIVER_BEFORE_TURING = 580
_WINDOWS = sys.platform == "win32"


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
        The cards, in its order: by where they are plugged in, while CUDA's first is the fastest.
    silent
        What it says of each card that does not answer.
    """

    version: str
    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoDriver:
    """Why there is no driver to ask.

    Attributes
    ----------
    why
        In the words of the library that asks it.
    installed
        Whether one is installed, and does not answer.
    """

    why: str
    installed: bool = False


@dataclass(frozen=True, slots=True)
class Libraries:
    """The CUDA libraries that can be loaded.

    Attributes
    ----------
    cuda
        Version of the runtime, major and minor; None if it cannot be loaded.
    cudnn
        Version of cuDNN: major, minor, patch; None if it cannot be loaded.
    absent
        Names of those that the engine needs and that cannot be loaded.
    devices
        How many devices the runtime shows to programs: `CUDA_VISIBLE_DEVICES` hides some.
    """

    cuda: tuple[int, int] | None
    cudnn: tuple[int, int, int] | None
    absent: tuple[str, ...] = ()
    devices: int = 0


def driver() -> Driver | NoDriver:
    """Ask the driver through NVML."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        absent = getattr(error, "value", None) == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
        return NoDriver(str(error), installed=not absent)
    try:
        newest = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        version = str(pynvml.nvmlSystemGetDriverVersion())
        count = int(pynvml.nvmlDeviceGetCount())
        answers = [_gpu(pynvml, index) for index in range(count)]
    except (pynvml.NVMLError, UnicodeDecodeError) as error:
        return NoDriver(str(error), installed=True)
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return Driver(
        version,
        (newest // 1000, newest % 1000 // 10),
        tuple(one for one in answers if isinstance(one, Gpu)),
        tuple(one for one in answers if isinstance(one, str)),
    )


def _gpu(nvml: ModuleType, index: int) -> Gpu | str:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle).total
        return Gpu(str(nvml.nvmlDeviceGetName(handle)), (int(major), int(minor)), int(memory))
    except (nvml.NVMLError, UnicodeDecodeError) as error:
        return f"GPU {index} does not answer ({error})"


def engine_libraries(line: int) -> tuple[str, ...]:
    """Name the files that ONNX Runtime built for a line of CUDA, such as 12, cannot do without."""
    numbers = {"cudart": line, "cublas": line, "cublasLt": line, "cufft": line - 1, "curand": 10,
               "cudnn": 9}  # fmt: skip
    if _WINDOWS:
        return tuple(f"{name}64_{number}.dll" for name, number in numbers.items())
    return tuple(f"lib{name}.so.{number}" for name, number in numbers.items())


def libraries(line: int) -> Libraries:
    """Load what an engine needs of a line of CUDA, and ask runtime and cuDNN for their versions."""
    names = engine_libraries(line)
    cuda, cudnn, number, devices = None, None, ctypes.c_int(), ctypes.c_int()
    runtime, library = _load(names[0]), _load(names[-1])
    with suppress(AttributeError):  # whatever it is, it is not that library
        if runtime is not None and runtime.cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
            cuda = (number.value // 1000, number.value % 1000 // 10)
            if runtime.cudaGetDeviceCount(ctypes.byref(devices)) != 0:
                devices.value = 0
    with suppress(AttributeError):
        if library is not None:
            library.cudnnGetVersion.restype = ctypes.c_size_t
            version = int(library.cudnnGetVersion())
            cudnn = (version // 10_000, version % 10_000 // 100, version % 100)
    return Libraries(cuda, cudnn, tuple(missing(names)), devices.value)


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


def is_too_old(gpu: Gpu) -> bool:
    """Tell whether no engine has code for a card."""
    return gpu.capability < _PASCAL


def misfits(gpu: Gpu, found: Driver, loaded: Libraries) -> list[tuple[str, str]]:
    """Say what of the versions at hand does not go with a card, each with what to do."""
    if is_too_old(gpu):
        return [("it is older than Pascal (6.0), for which no engine has code", "use --device cpu")]
    told = []
    line = None if loaded.cuda is None else loaded.cuda[0]
    if line is not None and line >= 13 and gpu.capability < _TURING:
        told.append((
            f"CUDA {line} has no code for it: it is older than Turing (7.5)",
            'pip uninstall -y onnxruntime-gpu && pip install "nsfwscan[gpu]"',
        ))  # fmt: skip
    least, number = _DRIVERS.get(line or 0), re.search(r"\d+", found.version)
    if least is not None and number is not None and int(number[0]) < least:
        old = gpu.capability < _TURING
        most = f"to {_LAST_DRIVER_BEFORE_TURING}, the last for this card" if old else "or newer"
        advice = f"install a driver of the line {least} {most}"
        if line == 13:
            advice += ', or: pip uninstall -y onnxruntime-gpu && pip install "nsfwscan[gpu]"'
        told.append((f"CUDA {line} needs a newer driver than {found.version}", advice))
    cudnn = loaded.cudnn
    if cudnn is not None and gpu.capability < _VOLTA and cudnn[:2] > _LAST_CUDNN_FOR_PASCAL:
        version = ".".join(map(str, cudnn))
        told.append((
            f"cuDNN {version} does not run on it; 9.10 is the last that does",
            'pip install "nvidia-cudnn-cu12<9.11"',
        ))  # fmt: skip
    return told
