"""Compare the heads that the recipes give with scikit-learn's, on several splits of a store.

::

    python benchmarks/heads.py STORE... --backbone FOLDER

Each split follows the published rule, with the ranges of the hash moved. All heads learn from the
same cached features:

- the recipes ``converged`` and ``study``, each with its defaults;
- `sklearn.linear_model.LogisticRegressionCV` on standardised features with balanced class weights,
  five folds and the first six of its ten strengths, chosen by loss or, its default, by accuracy. It
  learns from the training part or, in two further columns, from training and validation parts.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from nsfwscan import Preprocess
from nsfwscan.dataset.labels import Part
from nsfwscan.reports.progress import no_progress
from nsfwtrain.data import examples
from nsfwtrain.data.examples import Data
from nsfwtrain.data.similarity import groups, hashes_of
from nsfwtrain.data.split import keys, split
from nsfwtrain.data.tables import read_labels, sha1s, targets
from nsfwtrain.model.backbone import fingerprint, load_backbone
from nsfwtrain.model.head import initial_head
from nsfwtrain.model.keras import tf_keras
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run.converged import compared_rows, solve_head
from nsfwtrain.run.features import compile_features, forward_batch, open_cache
from nsfwtrain.run.metrics import evaluate
from nsfwtrain.run.options import Converged, Options, Study
from nsfwtrain.run.state import State
from nsfwtrain.run.study import train_head
from nsfwtrain.variants import Variant, by_name

_MOVES = (0, 51, 102, 153, 204)
_CS = np.logspace(-4, 4, 10)[:6]  # of the default; weaker penalties take hours and overfit

Scores = NDArray[np.float32]


def main() -> None:
    """Measure, and print a table for each store."""
    parser = argparse.ArgumentParser(description="Compare heads on several splits.")
    parser.add_argument("stores", type=Path, nargs="+")
    parser.add_argument("--backbone", required=True, help="hub handle or SavedModel folder")
    parser.add_argument("--variant", default="b0")
    arguments = parser.parse_args()
    variant = by_name(arguments.variant)
    for store in arguments.stores:
        labels = read_labels(store / "label.csv")
        rows = []
        for move in _MOVES:
            frame = moved_split(labels, move)
            data = _features(frame, store, variant, arguments.backbone)
            rows.append(_row(data, frame, store, variant) | {"split": str(move)})
        table = pd.DataFrame(rows).set_index("split")
        table.loc["mean"] = table.mean()
        print(f"\n{store}: {len(labels):,} images, label 1 {labels['value'].mean():.1%}\n")
        print(table.to_string(float_format="{:.4f}".format), flush=True)


def moved_split(labels: pd.DataFrame, move: int) -> pd.DataFrame:
    """Split by the published rule, after adding `move` to each key (0-255, modulo 256)."""
    moved = (keys(labels) - move) % 256
    ids = labels["objectId"]
    changed = ids.str[:38] + moved.map("{:02x}".format) + ids.str[40:]
    return split(labels.assign(objectId=changed)).assign(objectId=ids)


def _features(frame: pd.DataFrame, store: Path, variant: Variant, backbone: str) -> Data:
    preprocess = Preprocess(size=variant.image_size)
    options = Options(recipe=Converged())
    cache = open_cache(store / "cache", variant, options, fingerprint(backbone), preprocess)
    if missing := examples.missing(frame, cache):
        layer = load_backbone(backbone, variant.feature_dim)
        compute = compile_features(preprocess.size, layer, print)
        examples.fill(cache, store, missing, preprocess, compute, batch_size=forward_batch())
    return examples.collect(frame, cache)


def _row(data: Data, frame: pd.DataFrame, store: Path, variant: Variant) -> dict[str, float]:
    """Return loss and accuracy on the test part by head."""
    heads: dict[str, Callable[[], Scores]] = {
        "converged": lambda: _converged(data, frame, store),
        "by loss": lambda: _sklearn(data, ["train"], "neg_log_loss"),
        "by accuracy": lambda: _sklearn(data, ["train"], None),
        "both, by loss": lambda: _sklearn(data, ["train", "validation"], "neg_log_loss"),
        "both, by accuracy": lambda: _sklearn(data, ["train", "validation"], None),
        "study": lambda: _study(data, variant),
    }
    row = {"test images": float(len(data.parts["test"]))}
    for name, scores in heads.items():
        metrics = evaluate(targets(data.parts["test"]), scores())
        row |= {f"{name}, loss": metrics["loss"], f"{name}, accuracy": metrics["accuracy"]}
    return row


def _converged(data: Data, frame: pd.DataFrame, store: Path) -> Scores:
    rows = compared_rows(frame)
    numbers = groups(hashes_of(rows, store, store / "cache"))
    kernel, bias = solve_head(data, Converged(), pd.Series(numbers, rows["objectId"])).head
    test = data.arrays.get(sha1s(data.parts["test"]).tolist())
    scores: Scores = 1 / (1 + np.exp(-(test @ kernel + bias)[:, 0]))
    return scores


def _sklearn(data: Data, parts: Sequence[Part], scoring: str | None) -> Scores:
    learned = pd.concat([data.parts[part] for part in parts])
    train, test = (data.arrays.get(sha1s(some).tolist()) for some in (learned, data.parts["test"]))
    scaler = StandardScaler().fit(train.astype(np.float64))
    search = LogisticRegressionCV(
        Cs=_CS, cv=5, class_weight="balanced", scoring=scoring, max_iter=1000
    )
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("ignore")  # of changes in its next version
        found = search.fit(scaler.transform(train), targets(learned))
    scores: Scores = found.predict_proba(scaler.transform(test))[:, 1].astype(np.float32)
    return scores


def _study(data: Data, variant: Variant) -> Scores:
    dense = tf_keras.layers.Dense(1, activation="sigmoid")
    dense.build((None, variant.feature_dim))
    size = BatchSize(variant.batch_size, print)
    with tempfile.TemporaryDirectory() as out:
        head, _ = train_head(
            dense, dense.trainable_variables, State(initial_head(variant.feature_dim, 0)), data,
            Study(batch_size=variant.batch_size), 0, size,
            out=Path(out), say=lambda _line: None, progress=no_progress,
        )  # fmt: skip
    dense.set_weights(list(head))
    test = data.arrays.get(sha1s(data.parts["test"]).tolist())
    scores: Scores = dense(test).numpy()[:, 0]
    return scores


if __name__ == "__main__":
    main()
