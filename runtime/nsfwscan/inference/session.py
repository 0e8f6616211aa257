"""ONNX Runtime's sessions and their devices. No other module uses ONNX Runtime directly."""

import contextlib
import ctypes
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsfwscan.errors import DeviceError, EngineError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_LOG_FATAL = 4
_DEVICE = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")

SEE_DOCTOR = '; run "nsfwscan doctor" to find the cause'
"""The end of each message about a GPU that does not work. The doctor's own output omits it."""


def check_device(device: str) -> None:
    """Raise `DeviceError` unless a device is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _DEVICE.fullmatch(device):
        raise DeviceError(f"device {device!r} is unknown: write auto, cpu, cuda or cuda:N")


def gpu_index(device: str) -> int:
    """Return the N of ``cuda:N``, or 0 without one."""
    match = _DEVICE.fullmatch(device)
    return int(match[1] or 0) if match else 0


def engine_version() -> str | None:
    """Return the inference engine's name and version without loading it; None if it is missing."""
    from importlib.metadata import (  # noqa: PLC0415 - slow to import, and rarely needed
        PackageNotFoundError,
        version,
    )

    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return None


def engine() -> Any:
    """Import ONNX Runtime, and load the CUDA libraries that the environment contains.

    Raises
    ------
    EngineError
        If ONNX Runtime is not installed or not usable.
    """
    why = "its folder exists without its files"  # after one of two wheels was uninstalled
    try:
        # If ONNX Runtime imports NumPy itself, a signal in that time prints a traceback.
        import numpy as np  # noqa: F401, PLC0415 - as below
        import onnxruntime  # noqa: PLC0415 - the rest of the package works without it
    except ImportError as error:
        onnxruntime, why = None, sentence(error)
    if not hasattr(onnxruntime, "InferenceSession"):
        raise EngineError(
            f"ONNX Runtime is not usable ({why}): install onnxruntime, or onnxruntime-gpu for an "
            "NVIDIA GPU, but not both"
        )
    onnxruntime.set_default_logger_severity(_LOG_FATAL)
    onnxruntime.disable_telemetry_events()  # Windows ignores the environment variable
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints which libraries it did not find. If they matter, creating a session fails.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    return onnxruntime


def cuda_major(runtime: Any) -> int | None:
    """Return the CUDA major version that the engine was built for; None without CUDA."""
    version = getattr(runtime, "cuda_version", "")
    has_cuda = _CUDA in runtime.get_available_providers() and version
    return int(version.partition(".")[0]) if has_cuda else None


def open_session(
    runtime: Any, data: bytes, path: Path, device: str, intra_op_threads: int, *, tf32: bool
) -> tuple[Any, str | None]:
    """Create a session on a device.

    Parameters
    ----------
    runtime
        ONNX Runtime, as `engine` returns it.
    data, path
        The bytes of the model, and its file for messages.
    device, intra_op_threads, tf32
        As in `nsfwscan.Classifier.load`.

    Returns
    -------
    session, note
        The session, and why ``auto`` chose the CPU although ONNX Runtime supports CUDA, or None.

    Raises
    ------
    ModelError
        If the data is not an ONNX model.
    DeviceError
        If the requested device does not start.
    """
    failure = None
    if device != "cpu":
        try:
            return _cuda_session(
                runtime, data, gpu_index(device), intra_op_threads, tf32=tf32
            ), None
        except DeviceError as error:
            failure = error
    try:
        session = _session(runtime, data, [_CPU], intra_op_threads)
    except Exception as error:
        why = model_failure(sentence(error))
        raise ModelError(f"{path} is not a usable ONNX model: {why}") from error
    if failure is not None and device != "auto":
        raise failure
    has_cuda = _CUDA in runtime.get_available_providers()
    return session, str(failure) if failure is not None and has_cuda else None


def _session(runtime: Any, data: bytes, providers: Sequence[Any], intra_op_threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _LOG_FATAL  # exceptions report the failures
    options.intra_op_num_threads = intra_op_threads
    # Spinning between two batches would take the cores that decoding needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # By default ONNX Runtime also accepts its own format.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # The digest does not cover weights in other files. In this folder there are none.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(Path(os.devnull) / "none")
    )
    try:
        session = runtime.InferenceSession(data, options, providers=providers, enable_fallback=0)
        dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise ValueError("its names or metadata are not text in UTF-8") from error
    return session


def _cuda_session(
    runtime: Any, data: bytes, index: int, intra_op_threads: int, *, tf32: bool
) -> Any:
    if _CUDA not in runtime.get_available_providers():
        raise DeviceError(
            f"this ONNX Runtime ({engine_version()}) was built without CUDA; for an NVIDIA GPU "
            "install onnxruntime-gpu instead"
        )
    options = {
        "device_id": str(index),
        "use_tf32": str(int(tf32)),
        # The default benchmarks every algorithm for each new batch size.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    try:
        session = _session(runtime, data, [(_CUDA, options), _CPU], intra_op_threads)
        if _CUDA in session.get_providers():
            return session
        why = "ONNX Runtime fell back to the CPU"
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions have no common base
        why = cuda_failure(sentence(error))
    missing = _missing_library(Path(runtime.__file__).parent)
    raise DeviceError(f"cuda:{index} does not start: {missing or why}{SEE_DOCTOR}")


def model_failure(said: str) -> str:
    """Say what to do about a model that ONNX Runtime refuses, or repeat what it said."""
    if found := re.search(r"External data path .*none/([^\"]+)\"", said):
        return f"its weights are in another file, {found[1]}; save the model as one file"
    if "INVALID_PROTOBUF" in said:
        return "it is damaged, or is no ONNX file; download or copy it again"
    versions = {
        "operator set": r"Opset (\d+) is under development.* till opset (\d+)",
        "format": r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
    }
    for name, pattern in versions.items():
        if found := re.search(pattern, said):
            return (
                f"its {name} has the version {found[1]}, and this ONNX Runtime knows up to "
                f"{found[2]}; upgrade onnxruntime, or export the model for an older one"
            )
    return said


def cuda_failure(said: str) -> str:
    """Extract CUDA's own message from one with ONNX Runtime's source locations around it."""
    found = re.search(r"\bCU\w+ failure \d+: [^;]*[^; ]", said)
    return said if found is None else found[0]


def _missing_library(package: Path) -> str | None:
    """Describe the library that CUDA support cannot load, if any: ONNX Runtime only logs it."""
    for library in sorted((package / "capi").glob("*onnxruntime_providers_cuda.*")):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            # Only ONNX Runtime resolves the library's own symbols, so this is not the cause.
            if "undefined symbol" not in str(error):
                return sentence(error)
    return None


def device_of(session: Any) -> str:
    """Return the device that a session runs on: ``cpu`` or ``cuda:N``."""
    if _CUDA not in session.get_providers():
        return "cpu"
    options = session.get_provider_options().get(_CUDA, {})
    return f"cuda:{options.get('device_id', 0)}"


class Binding:
    """The input and output of a session, bound to the session's device."""

    def __init__(self, session: Any, input_name: str, output_name: str) -> None:
        self._session = session
        self._input = input_name
        self._binding = session.io_binding()
        self._binding.bind_output(output_name)  # in the CPU's memory, since scores are small

    def __call__(self, tensor: "NDArray[Any]") -> "NDArray[Any]":
        """Run the model on one batch."""
        import numpy as np  # noqa: PLC0415 - the doctor works without it

        self._binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))  # uploads it
        self._session.run_with_iobinding(self._binding)
        (out,) = self._binding.copy_outputs_to_cpu()
        return np.asarray(out)


def sentence(error: BaseException) -> str:
    """Return the message of an exception on one line."""
    return " ".join(str(error).split()) or type(error).__name__
