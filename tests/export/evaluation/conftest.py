import numpy as np
import pytest

from nsfwexport.evaluation.compare import Evaluated, Evaluation
from nsfwexport.evaluation.metrics import disagreements, estimate

PATHS = tuple(f"photos/{i:03}.jpg" for i in range(200))


def evaluated(name: str, noise: float, threshold: float, megabytes: float) -> Evaluated:
    """Make up a model whose scores are the labels, the less noise the better."""
    rng = np.random.default_rng(len(name))
    labels = np.arange(200) % 2
    scores = (0.5 + 0.25 * (labels - 0.5) + rng.normal(0, noise, 200)).clip(0, 1).round(6)
    return Evaluated(
        name=name, sha256="86" * 32, precision="single", megabytes=megabytes,
        parameters=4_000_000, milliseconds=10 * noise, milliseconds_95=20 * noise,
        images_per_second=50, peak_megabytes=None, threshold=threshold, scores=scores,
        quality=estimate(labels, scores, threshold, 50),
    )  # fmt: skip


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    """Make up a comparison of three models."""
    models = (
        evaluated("old.onnx", 0.3, 0.5, 16),
        evaluated("new.onnx", 0.1, 0.5, 16),
        evaluated("<b>&.onnx", 0.2, 0.5, 4),
    )
    labels = np.arange(200) % 2
    return Evaluation(
        models=models, paths=PATHS, labels=labels, label_names=("decent", "indecent"),
        where="a test",
        differing=tuple(
            disagreements(PATHS, labels, [m.scores for m in models], [m.threshold for m in models])
        ),
        reference=True,
    )  # fmt: skip
