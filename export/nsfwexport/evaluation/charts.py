"""Draw the charts of a comparison."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn import metrics as sk

from nsfwexport.evaluation.compare import Evaluated, Evaluation

_STYLE: dict[Any, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "font.size": 11,
}  # fmt: skip
_COLORS = ("#1f5fa8", "#d1602b", "#2f8a5b", "#8a4fa3", "#b3982b", "#4aa3b8", "#a33b56")
_GREY = "#999999"
_NEAR = 0.1  # the part of the curve that matters: few false alarms


def draw(evaluation: Evaluation) -> dict[str, Figure]:
    """Draw the charts, by the names of their files."""
    with mpl.rc_context(_STYLE):
        return {
            "roc.png": _roc(evaluation),
            "speed-and-quality.png": _speed_and_quality(evaluation.models),
        }


def _roc(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(10, 5), layout="constrained")
    whole, near = figure.subplots(1, 2)
    for axes in (whole, near):
        for model, color, width in _styled(evaluation.models):
            false, true, _ = sk.roc_curve(evaluation.labels, model.scores, drop_intermediate=False)
            area = model.quality["roc_auc"].value
            axes.plot(
                false,
                true,
                color=color,
                linewidth=width,
                label=f"{_short(model.name)} ({area:.3f})",
            )
        axes.set(ylim=(-0.01, 1.01), xlabel="false alarms", ylabel="recall")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    whole.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    whole.set(title="Receiver operating characteristic", xlim=(-0.01, 1.01))
    near.set(title="The same, few false alarms", xlim=(-_NEAR / 100, _NEAR))
    for share in (0.01, 0.05):
        near.axvline(share, linestyle=":", color=_GREY, linewidth=1)
    whole.legend(loc="lower right", fontsize=9, title="model (area)", title_fontsize=9)
    return figure


def _speed_and_quality(models: Sequence[Evaluated]) -> Figure:
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    for model, color, width in _styled(models):
        area = model.quality["roc_auc"]
        axes.errorbar(
            model.milliseconds,
            area.value,
            yerr=[[area.value - area.low], [area.high - area.value]],
            fmt="o",
            markersize=4 * width,
            linewidth=width,
            color=color,
            capsize=4,
            label=f"{_short(model.name)} ({model.megabytes:.1f} MB)",
        )
    axes.set(
        title="Quality by time of an image",
        xlabel="milliseconds on one thread",
        ylabel="AUROC, 95 % interval",
    )
    axes.set_xlim(left=0, right=1.15 * max(model.milliseconds for model in models))
    figure.legend(loc="outside upper right", fontsize=9)  # over no interval
    return figure


def _styled(models: Sequence[Evaluated]) -> Iterator[tuple[Evaluated, str, float]]:
    """Give each model a color, and the first the widest line: equal curves hide each other."""
    for i, (model, color) in enumerate(zip(models, cycle(_COLORS), strict=False)):
        yield model, color, 1.5 + min(3, len(models) - 1 - i)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"…{name[-31:]}"
