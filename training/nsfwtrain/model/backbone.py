"""Load the frozen part of a model: a TensorFlow Hub module, from the hub or from a folder."""

from pathlib import Path
from typing import Any

from nsfwscan.util.digest import folder_sha256
from nsfwtrain.errors import BackboneError
from nsfwtrain.model.keras import hub, tf


def load_backbone(handle: str, feature_dim: int) -> Any:
    """Load a backbone as a frozen Keras layer.

    Parameters
    ----------
    handle
        A hub handle (a URL), or a SavedModel folder in the hub's format. The module maps float32
        (N, H, W, 3) in [0, 1] to float32 (N, `feature_dim`).
    feature_dim
        Length of the variant's feature vectors.

    Returns
    -------
    tensorflow_hub.KerasLayer

    Raises
    ------
    BackboneError
        If it cannot be downloaded or loaded, or its vectors have another length.
    """
    try:
        layer = hub.KerasLayer(handle, trainable=False)
        found = layer(tf.zeros((1, 64, 64, 3))).shape
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise BackboneError(
            f"cannot load the backbone {handle} ({said}): give a SavedModel folder with "
            "--backbone, or set TFHUB_CACHE_DIR to a folder that holds it"
        ) from error
    if tuple(found) != (1, feature_dim):
        raise BackboneError(
            f"the backbone {handle} gives vectors of shape {tuple(found)[1:]}, the variant has "
            f"{feature_dim} features; choose the backbone of this variant"
        )
    return layer


def fingerprint(handle: str) -> str:
    """Return a hub handle as it is, or the SHA-256 of the names and bytes of a folder's files."""
    folder = Path(handle)
    return folder_sha256(folder) if folder.is_dir() else handle
