from dataclasses import dataclass
from pathlib import Path

import pytest
from labelled import Collection, make_collection


@dataclass(frozen=True)
class Trained:
    """A collection, a training run on it, the ONNX file of the run, and the cache of features."""

    collection: Collection
    run: Path
    model: Path
    cache: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a small model and convert it."""
    from nsfwexport import keras
    from nsfwexport.convert import convert
    from nsfwtrain.run.fit import fit
    from nsfwtrain.run.options import Converged, Options
    from nsfwtrain.variants import by_name

    root = tmp_path_factory.mktemp("trained")
    made = make_collection(root, images=40)
    fit(
        by_name("b0"), made.store, made.split, root / "runs" / "b0",
        Options(recipe=Converged()), backbone=str(made.backbone),
        cache=root / "cache", say=lambda _line: None,
    )  # fmt: skip
    convert(keras.load(root / "runs" / "b0"), root / "b0.onnx")
    return Trained(made, root / "runs" / "b0", root / "b0.onnx", root / "cache")
