"""NVIDIA's driver, GPUs and CUDA libraries on this machine, and their compatibility."""

import ctypes
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_WINDOWS = sys.platform == "win32"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A generation of GPUs by compute capability, and the newest software that supports it.

    CUDA and the driver are major versions, cuDNN is (major, minor). None: any version.
    """

    name: str
    min_capability: tuple[int, int]
    max_cuda: int | None = None
    max_cudnn: tuple[int, int] | None = None
    max_driver: int | None = None


ARCHITECTURES = (
    Architecture("Turing", (7, 5)),
    Architecture("Volta", (7, 0), max_cuda=12, max_driver=580),
    Architecture("Pascal", (6, 0), max_cuda=12, max_cudnn=(9, 10), max_driver=580),
)
"""Supported GPUs, newest first. A row also covers newer GPUs, up to the row above it.

ONNX Runtime 1.26 and TensorFlow 2.21 support Pascal and newer (code in their libraries). CUDA 13
supports Turing and newer (release notes). cuDNN 9.11 dropped Pascal (support matrix). Driver 580
is the last for GPUs older than Turing (NVIDIA's deprecation schedule).
"""

MIN_DRIVER = {12: 525, 13: 580}
"""Lowest driver by CUDA major version (CUDA's table of minor version compatibility)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its name, compute capability (major, minor), and memory in bytes."""

    name: str
    capability: tuple[int, int]
    memory: int

    @property
    def architecture(self) -> Architecture | None:
        """The generation of the GPU; None if engines no longer support it."""
        return next((row for row in ARCHITECTURES if self.capability >= row.min_capability), None)


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver and its GPUs.

    Attributes
    ----------
    version
        Version, such as ``575.57.08``.
    cuda
        Newest supported CUDA version, major and minor.
    gpus
        GPUs in the driver's order, by slot. CUDA's own order begins with the fastest.
    silent
        One sentence for each GPU that does not answer.
    """

    version: str
    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoDriver:
    """Why the driver cannot be queried, and whether it is installed but does not answer."""

    why: str
    installed: bool = False


@dataclass(frozen=True, slots=True)
class Libraries:
    """The CUDA libraries that can be loaded.

    Attributes
    ----------
    cuda
        Version of the CUDA runtime, major and minor; None if it cannot be loaded.
    cudnn
        Version of cuDNN: major, minor, patch; None if it cannot be loaded.
    absent
        File names of the libraries that the engine needs but cannot load.
    devices
        Number of GPUs that programs can use; ``CUDA_VISIBLE_DEVICES`` can hide some.
    """

    cuda: tuple[int, int] | None
    cudnn: tuple[int, int, int] | None
    absent: tuple[str, ...] = ()
    devices: int = 0


def query_driver() -> Driver | NoDriver:
    """Query the driver through NVML."""
    try:
        import pynvml
    except ImportError as error:
        return NoDriver(str(error))
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        absent = getattr(error, "value", None) == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
        return NoDriver(str(error), installed=not absent)
    try:
        newest = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        version = str(pynvml.nvmlSystemGetDriverVersion())
        count = int(pynvml.nvmlDeviceGetCount())
        answers = [_query_gpu(pynvml, index) for index in range(count)]
    except (pynvml.NVMLError, UnicodeDecodeError) as error:
        return NoDriver(str(error), installed=True)
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return Driver(
        version,
        _cuda_version(newest),
        tuple(one for one in answers if isinstance(one, Gpu)),
        tuple(one for one in answers if isinstance(one, str)),
    )


def _query_gpu(nvml: ModuleType, index: int) -> Gpu | str:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle).total
        return Gpu(str(nvml.nvmlDeviceGetName(handle)), (int(major), int(minor)), int(memory))
    except (nvml.NVMLError, UnicodeDecodeError) as error:
        return f"GPU {index} does not answer ({error})"


def _cuda_version(number: int) -> tuple[int, int]:
    """Split CUDA's version number: 12090 is 12.9."""
    return number // 1000, number % 1000 // 10


def engine_libraries(cuda_major: int) -> tuple[str, ...]:
    """Return the files that ONNX Runtime needs if it was built for a CUDA major version."""
    numbers = {"cudart": cuda_major, "cublas": cuda_major, "cublasLt": cuda_major,
               "cufft": cuda_major - 1, "curand": 10, "cudnn": 9}  # fmt: skip
    if _WINDOWS:
        return tuple(f"{name}64_{number}.dll" for name, number in numbers.items())
    return tuple(f"lib{name}.so.{number}" for name, number in numbers.items())


def load_libraries(cuda_major: int) -> Libraries:
    """Load ONNX Runtime's libraries, and query the versions of the CUDA runtime and cuDNN."""
    names = engine_libraries(cuda_major)
    cuda, cudnn, number, devices = None, None, ctypes.c_int(), ctypes.c_int()
    runtime, library = _load(names[0]), _load(names[-1])
    with suppress(AttributeError):  # a different library with the same name
        if runtime is not None and runtime.cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
            cuda = _cuda_version(number.value)
            if runtime.cudaGetDeviceCount(ctypes.byref(devices)) != 0:
                devices.value = 0
    with suppress(AttributeError):
        if library is not None:
            library.cudnnGetVersion.restype = ctypes.c_size_t
            version = int(library.cudnnGetVersion())
            cudnn = (version // 10_000, version % 10_000 // 100, version % 100)
    return Libraries(cuda, cudnn, tuple(missing_libraries(names)), devices.value)


def missing_libraries(names: Iterable[str]) -> list[str]:
    """Return the libraries that cannot be loaded."""
    return [name for name in names if _load(name) is None]


def _load(name: str) -> ctypes.CDLL | None:
    """Load a library from NVIDIA's wheels, as the engines do, or from the system."""
    wheels = find_spec("nvidia")
    places = (wheels and wheels.submodule_search_locations) or ()
    found = (str(path) for place in places for path in Path(place).glob(f"*/*/{name}"))
    for path in (*found, name):
        with suppress(OSError):
            return ctypes.CDLL(path)
    return None


def incompatibilities(gpu: Gpu, driver: Driver, libraries: Libraries) -> list[tuple[str, str]]:
    """Compare a GPU with `ARCHITECTURES` and the driver with `MIN_DRIVER`.

    Returns
    -------
    list of (str, str)
        The faults, each with its fix.
    """
    row = gpu.architecture
    if row is None:
        return [("it is older than Pascal (6.0), the oldest supported GPU", "use --device cpu")]
    cuda_12 = 'pip uninstall -y onnxruntime-gpu && pip install "nsfwscan[gpu]"'
    cuda = libraries.cuda and libraries.cuda[0]
    found = []
    if cuda and row.max_cuda and cuda > row.max_cuda:
        found.append((f"CUDA {cuda} does not support it: it is older than Turing (7.5)", cuda_12))
    least, number = MIN_DRIVER.get(cuda or 0), re.search(r"\d+", driver.version)
    if least and number and int(number[0]) < least:
        most = f"to {row.max_driver}, the last for this GPU" if row.max_driver else "or newer"
        fix = f"install driver {least} {most}" + (f", or: {cuda_12}" if cuda == 13 else "")
        found.append((f"CUDA {cuda} needs a newer driver than {driver.version}", fix))
    if libraries.cudnn and row.max_cudnn and libraries.cudnn[:2] > row.max_cudnn:
        last, after = dotted(row.max_cudnn), dotted((row.max_cudnn[0], row.max_cudnn[1] + 1))
        version = dotted(libraries.cudnn)
        fault = f"cuDNN {version} does not support it; {last} is the last version that does"
        found.append((fault, f'pip install "nvidia-cudnn-cu12<{after}"'))
    return found


def dotted(version: Iterable[int]) -> str:
    """Return a version as text, such as ``12.9``."""
    return ".".join(map(str, version))
