"""The charts of a comparison: sizes, quality, accuracy by parameters, learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from nsfwtrain.run.plots import save_png

_COLORS = mpl.colormaps["viridis"]


def draw_charts(
    compared: pd.DataFrame, histories: Mapping[str, pd.DataFrame], folder: Path
) -> list[Path]:
    """Draw four charts.

    Parameters
    ----------
    compared
        As `nsfwtrain.report.comparison.compare` gives it.
    histories
        The history of each run, by variant.
    folder
        Where the PNG files go; it exists.

    Returns
    -------
    list of Path
        ``size.png``, ``quality.png``, ``accuracy-by-parameters.png`` and ``curves.png``.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    names = compared["variant"].str.upper().tolist()
    millions = compared["parameters"] / 1e6
    figures = {
        "size": _two_bars(
            names,
            {"model (MB)": compared["model MB"], "parameters (millions)": millions},
            "File size and parameters",
        ),
        "quality": _two_bars(
            names,
            {name: compared[name] for name in ("test accuracy", "test loss")},
            "Accuracy and loss",
        ),
        "accuracy-by-parameters": _scatter(names, millions, compared["test accuracy"]),
        "curves": _curves(histories),
    }
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.png")
        save_png(figure, files[-1])
    return files


def _two_bars(names: Sequence[str], panels: Mapping[str, pd.Series], title: str) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.suptitle(title)
    for axes, (label, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        bars = axes.bar(names, values, color=_COLORS(0.3))
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _scatter(names: Sequence[str], x: pd.Series, y: pd.Series) -> Figure:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(x, y, "o-", color=_COLORS(0.3))
    for name, across, up in zip(names, x, y, strict=True):
        axes.annotate(name, (across, up), textcoords="offset points", xytext=(6, 6))
    axes.set(title="Accuracy by parameters", xlabel="parameters (millions)", ylabel="test accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = {
        "loss": "training loss", "val_loss": "validation loss",
        "accuracy": "training accuracy", "val_accuracy": "validation accuracy",
    }  # fmt: skip
    for axes, (column, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            color = _COLORS(i / max(1, len(histories) - 1) * 0.9)
            axes.plot(history["epoch"], history[column], color=color, label=name.upper())
        axes.set(xlabel="epoch", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(ncols=2, fontsize=9)
    return figure
