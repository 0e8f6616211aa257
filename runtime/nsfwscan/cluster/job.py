"""What the processes of a run on a cluster have to know."""

import os
from dataclasses import dataclass
from pathlib import Path

from nsfwscan import __version__
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.errors import EngineError, InputError, ModelError
from nsfwscan.inference.classifier import Classifier
from nsfwscan.inference.manifest import Manifest
from nsfwscan.limits import ScanOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run, as each of its processes gets it.

    Attributes
    ----------
    version
        That of nsfwscan, which all nodes have.
    folder
        The current folder of the command, to which relative paths refer.
    out
        The folder of the run.
    entries
        The number of entries in its list.
    model
        The model's file, which is at the same place on all nodes. None: the default model.
    sha256
        Its SHA-256 in lower-case hex.
    manifest
        The description of the model.
    preprocess
        The parameters of decoding.
    options
        The limits of decoding.
    threshold
        Lowest score of a flagged image, in [0, 1].
    names
        The classes whose probabilities the records have.
    gpu
        Whether the model runs on a GPU.
    """

    version: str = __version__
    folder: str
    out: str
    entries: int
    model: str | None
    sha256: str
    manifest: Manifest
    preprocess: Preprocess
    options: ScanOptions
    threshold: float
    names: tuple[str, ...]
    gpu: bool

    def enter(self) -> None:
        """Prepare a process of a node for its work.

        Raises
        ------
        EngineError
            If the node has another version of nsfwscan.
        InputError
            If the node has no such folder.
        """
        if self.version != __version__:
            raise EngineError(
                f"a node of the cluster has nsfwscan {__version__}, and this command is "
                f"{self.version}; install the same version on all nodes"
            )
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise InputError(
                f"a node of the cluster has no folder {self.folder} ({error.strerror}); start the "
                "command in one that all nodes have"
            ) from error

    def load(self) -> Classifier:
        """Load the model.

        Raises
        ------
        ModelError
            If the node has another one. Further exceptions are those of `Classifier.load`.
        """
        device = "cuda" if self.gpu else "cpu"
        path = None if self.model is None else Path(self.model)
        classifier = Classifier.load(path, manifest=self.manifest, device=device)
        if classifier.sha256 != self.sha256:
            raise ModelError(
                f"a node of the cluster has another model at {classifier.path} (SHA-256 "
                f"{classifier.sha256[:12]}..., expected {self.sha256[:12]}...); copy the same file "
                "to all nodes"
            )
        return classifier
