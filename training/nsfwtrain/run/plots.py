"""Plot an evaluation: ROC, precision and recall, reliability, confusion."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn import metrics as sk

from nsfwscan.decision import flags
from nsfwscan.util.files import atomic_path, check_outputs
from nsfwtrain.run.metrics import reliability

Scores = NDArray[np.float32]

OPEN_FRAME: dict[Any, Any] = {"axes.spines.top": False, "axes.spines.right": False}
_BLUE, _GREY = "#1f5fa8", "#999999"
_BINS = 10

PLOTS = ("roc.png", "precision-recall.png", "reliability.png", "confusion.png")
"""The files of `plot_evaluation`."""


def plot_evaluation(
    labels: Scores, scores: Scores, threshold: float, names: Sequence[str], folder: Path
) -> list[Path]:
    """Draw ``roc.png``, ``precision-recall.png``, ``reliability.png`` and ``confusion.png``.

    `labels`, `scores` and `threshold` are those of `nsfwtrain.run.metrics.evaluate`, `names`
    those of label 0 and label 1. The folder must exist.
    """
    truth = labels >= 0.5
    drawings: dict[str, Callable[[Any], None]] = {
        "roc": lambda axes: _roc(axes, truth, scores),
        "precision-recall": lambda axes: _precision_recall(axes, truth, scores),
        "reliability": lambda axes: _reliability(axes, truth, scores, names[1]),
        "confusion": lambda axes: _confusion(axes, truth, scores, threshold, names),
    }
    figures = {}
    with mpl.rc_context({"font.size": 11, **OPEN_FRAME}):
        for name, draw in drawings.items():
            figures[name] = Figure(figsize=(5, 5), layout="constrained")
            draw(figures[name].add_subplot())
        return save_figures(figures, folder)


def save_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write each figure to ``<name>.png``, atomically; return the files.

    If one of them cannot be written, none is.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    files = [folder / f"{name}.png" for name in figures]
    check_outputs(folder, [file.name for file in files])
    for file, figure in zip(files, figures.values(), strict=True):
        with atomic_path(file) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    return files


def _square(axes: Any, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")


def _roc(axes: Any, truth: NDArray[np.bool_], scores: Scores) -> None:
    false, true, _ = sk.roc_curve(truth, scores)
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="chance")
    axes.plot(false, true, color=_BLUE, label=f"area {sk.roc_auc_score(truth, scores):.3f}")
    _square(axes, "Receiver operating characteristic", "false positive rate", "recall")
    axes.legend(loc="lower right")


def _precision_recall(axes: Any, truth: NDArray[np.bool_], scores: Scores) -> None:
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    mean = sk.average_precision_score(truth, scores)
    axes.axhline(truth.mean(), linestyle="--", color=_GREY, label="chance")
    axes.plot(recall, precision, color=_BLUE, label=f"average precision {mean:.3f}")
    _square(axes, "Precision and recall", "recall", "precision")
    axes.legend(loc="lower left")


def _reliability(axes: Any, truth: NDArray[np.bool_], scores: Scores, name: str) -> None:
    binned = reliability(truth.astype(np.float32), scores, _BINS)
    sizes = 20 + 180 * binned["images"] / binned["images"].max()
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="perfectly calibrated")
    axes.plot(binned["score"], binned["label"], color=_BLUE)
    axes.scatter(
        binned["score"], binned["label"], s=sizes, color=_BLUE, label="area: images in the bin"
    )
    _square(axes, "Reliability", "mean score", f"share of {name}")
    axes.legend(loc="upper left")


def _confusion(
    axes: Any,
    truth: NDArray[np.bool_],
    scores: Scores,
    threshold: float,
    names: Sequence[str],
) -> None:
    predicted = flags(scores.tolist(), threshold)
    table = sk.confusion_matrix(truth, predicted, labels=[False, True])
    axes.imshow(table, cmap="Blues", vmin=0)
    for row in range(2):
        for column in range(2):
            dark = table[row, column] > table.max() / 2
            axes.text(
                column, row, f"{table[row, column]:,}", ha="center", va="center", fontsize=16,
                color="white" if dark else "black",
            )  # fmt: skip
    axes.set(
        title=f"Confusion at threshold {threshold}", xlabel="predicted", ylabel="label",
        xticks=[0, 1], yticks=[0, 1], xticklabels=names,
    )  # fmt: skip
    axes.set_yticks([0, 1], names, rotation=90, va="center")
