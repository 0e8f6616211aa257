"""A model file in single precision that smaller files are made from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nsfwexport import modelfile
from nsfwexport.errors import ConversionError
from nsfwexport.reference import Reference
from nsfwscan import Classifier, Manifest


@dataclass(frozen=True, kw_only=True)
class Original:
    """A model file in single precision, of this project or of another.

    Attributes
    ----------
    path
        The file.
    model
        Its `onnx.ModelProto`.
    classifier
        The loaded model, on one thread of the CPU.
    """

    path: Path
    model: Any
    classifier: Classifier

    @classmethod
    def load(cls, path: Path, manifest: Path | None = None) -> "Original":
        """Load a file; `manifest` is as in `nsfwscan.Classifier.load`.

        Raises
        ------
        ConversionError
            If it is not in single precision.
        NsfwScanError
            If it cannot be used.
        """
        classifier = Classifier.load(path, manifest=manifest, device="cpu")
        model = modelfile.read_graph(path)
        if (kind := modelfile.precision_of(model)) != "single":
            raise ConversionError(f"{path} is in {kind} precision already; convert its original")
        return cls(path=path, model=model, classifier=classifier)

    @property
    def reference(self) -> Reference:
        """The model to compare with."""
        preprocess = self.classifier.manifest.preprocess
        return Reference(name=str(self.path), preprocess=preprocess, score=self.classifier.predict)

    def derived(self, suffix: str, how: str) -> Manifest:
        """Return the manifest of a file made from this one: `how` says how it was made."""
        manifest = self.classifier.manifest
        changed = replace(
            manifest,
            name=f"{manifest.name}-{suffix}",
            source=f"{manifest.name} (SHA-256 {self.classifier.sha256}), {how}",
            parity=None,
        )
        return modelfile.with_tools(changed, "nsfwscan", "onnx", "onnxruntime")
