"""The fast model of a cascade beside its original."""

from contextlib import suppress
from pathlib import Path

import nsfwscan
from nsfwscan.errors import ModelError
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.classifier import Classifier
from nsfwscan.inference.known import COMPANION_SHA256
from nsfwscan.inference.manifest import Manifest

BUILT_IN = Path(nsfwscan.__file__).parent / "models" / "open_nsfw_int8.onnx"
"""The fast model of the default model. ``benchmarks/companion.py`` makes it."""


def load_companion(path: Path | None) -> Classifier:
    """Load a fast model, to run on the CPU.

    Parameters
    ----------
    path
        The file. None: that of the default model.

    Raises
    ------
    ModelError
        If it cannot be loaded, or the built-in file is not the one that was measured.
    """
    if path is not None:
        return Classifier.load(path, device="cpu")
    with suppress(ModelError):
        fast = Classifier.load(BUILT_IN, device="cpu")
        if fast.sha256 == COMPANION_SHA256:
            return fast
    raise ModelError(f"{BUILT_IN} is damaged; install nsfwscan again, or leave --fast out")


def cascade_of(original: Classifier, fast: Classifier) -> Cascade:
    """Return the cascade of two models.

    Raises
    ------
    ModelError
        If the fast model was not made from the original, or takes or gives something else.
    """
    cascade = fast.manifest.cascade
    if cascade is None:
        raise ModelError(
            f"{fast.path} states no original in its manifest; make a fast model with nsfwexport "
            "quantize and nsfwexport cascade"
        )
    if cascade.model != original.sha256:
        raise ModelError(
            f"{fast.path} was made from the model {cascade.model[:12]}, and {original.path} is "
            f"{original.sha256[:12]}; leave --fast out, or make a fast model of that with "
            "nsfwexport quantize and nsfwexport cascade, and give it with --companion"
        )
    if found := differences(original.manifest, fast.manifest):
        raise ModelError(
            f"the manifests of {fast.path} and {original.path} differ in {' and '.join(found)}; "
            "leave --fast out, or make the fast model again from the original"
        )
    return cascade


def differences(one: Manifest, other: Manifest) -> list[str]:
    """Name what two manifests must have in common for their scores to mean the same of an image."""
    names = ("preprocess", "labels", "input", "output")
    return [name for name in names if getattr(one, name) != getattr(other, name)]
