"""Draw the charts of a comparison: sizes, quality, accuracy by parameters, learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from nsfwtrain.run.plots import OPEN_FRAME, save_figures

_COLORS = mpl.colormaps["viridis"]


def draw_charts(
    compared: pd.DataFrame, histories: Mapping[str, pd.DataFrame], folder: Path
) -> list[Path]:
    """Draw ``size.png``, ``quality.png``, ``accuracy-by-parameters.png`` and the histories.

    ``strengths.png`` has the runs of the converged recipe, ``epochs.png`` those of the study's.

    Parameters
    ----------
    compared
        The frame of `nsfwtrain.report.comparison.compare`.
    histories
        The history of each run, by its name.
    folder
        Folder of the PNG files; it must exist.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    names = compared["run"].tolist()
    sizes = {
        "model (MB)": compared["model MB"],
        "parameters (millions)": compared["parameters"] / 1e6,
    }
    quality = {"test accuracy": compared["test accuracy"], "test loss": compared["test loss"]}
    with mpl.rc_context(OPEN_FRAME):
        figures = {
            "size": _two_bars(names, sizes, "File size and parameters"),
            "quality": _two_bars(names, quality, "Accuracy and loss"),
            "accuracy-by-parameters": _scatter(compared),
        }
        for name, column in {"strengths": "strength", "epochs": "epoch"}.items():
            some = {run: history for run, history in histories.items() if column in history}
            if some:
                figures[name] = _curves(some, column)
        return save_figures(figures, folder)


def _two_bars(names: Sequence[str], panels: Mapping[str, pd.Series], title: str) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.suptitle(title)
    for axes, (label, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        bars = axes.bar(names, values, color=_COLORS(0.3))
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
        axes.tick_params(axis="x", rotation=90 if len(names) > 8 else 0)
        axes.set_ylabel(label)
    return figure


def _scatter(compared: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    for i, (recipe, runs) in enumerate(compared.groupby("recipe")):
        x, y = runs["parameters"] / 1e6, runs["test accuracy"]
        axes.plot(x, y, "o-", color=_COLORS(0.3 + 0.5 * i), label=recipe)
        for name, across, up in zip(runs["run"], x, y, strict=True):
            axes.annotate(name, (across, up), textcoords="offset points", xytext=(6, 6))
    axes.legend(title="recipe")
    axes.set(title="Accuracy by parameters", xlabel="parameters (millions)", ylabel="test accuracy")
    return figure


def _curves(histories: Mapping[str, pd.DataFrame], x: str) -> Figure:
    figure = Figure(figsize=(10, 7), layout="constrained")
    others = "held-out" if x == "strength" else "validation"
    panels = {
        "loss": "training loss", "val_loss": f"{others} loss",
        "accuracy": "training accuracy", "val_accuracy": f"{others} accuracy",
    }  # fmt: skip
    for axes, (column, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            color = _COLORS(i / max(1, len(histories) - 1) * 0.9)
            axes.plot(history[x], history[column], color=color, label=name)
            if x == "strength":
                chosen = history[history["chosen"] == 1]
                axes.plot(chosen[x], chosen[column], "o", color=color)
        axes.set(xlabel=x, ylabel=label)
        if x == "strength":
            axes.set_xscale("log")
            axes.xaxis.set_inverted(True)
            axes.set_xlabel("strength of the penalty, the strongest first; dot: chosen")
    figure.axes[0].legend(ncols=2, fontsize=9)
    return figure
