"""Compare finished runs: as Markdown, HTML, CSV and plots, beside what a published study got."""

import csv
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from nsfwscan.util.files import atomic_write
from nsfwtrain.errors import RunError
from nsfwtrain.run.folder import read_facts
from nsfwtrain.run.plots import save_png
from nsfwtrain.variants import VARIANTS, Variant

HEADINGS = (
    "variant", "image px", "batch", "model MB", "parameters", "test loss", "to first",
    "test accuracy", "to first", "time", "ratio",
    "published loss", "published accuracy", "published time",
)  # fmt: skip

_MEGABYTE = 1_000_000
_NEEDED = ("metrics", "options", "bytes", "parameters", "seconds")
_COLORS = mpl.colormaps["viridis"]


@dataclass(frozen=True)
class Run:
    """A finished run of a variant, and its epochs by column of ``history.csv``."""

    variant: Variant
    facts: dict[str, Any]
    history: dict[str, list[float]]

    @property
    def seconds(self) -> float:
        """What training cost: from the first image read to the last epoch."""
        stages = self.facts["seconds"]
        return float(stages["data"] + stages["training"])


def read_runs(folder: Path) -> list[Run]:
    """Read the finished runs of a sweep, in the order of the variants.

    Raises
    ------
    RunError
        If there is none, or one of them does not hold.
    """
    found = []
    for row in VARIANTS:
        run = folder / row.name
        if not (run / "run.json").exists():
            continue
        try:
            with (run / "history.csv").open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            history = {name: [float(r[name]) for r in rows] for name in (rows[0] if rows else ())}
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{run / 'history.csv'} does not hold: {error}") from error
        facts = read_facts(run)
        if facts.get("interrupted"):
            continue
        missing = [name for name in _NEEDED if name not in facts]
        if missing:
            raise RunError(f"{run / 'run.json'} does not hold: it lacks {', '.join(missing)}")
        found.append(Run(row, facts, history))
    if not found:
        raise RunError(f"{folder} holds no finished run; make some with nsfwtrain sweep")
    return found


def table(compared: Sequence[Run]) -> list[tuple[str, ...]]:
    """Give the comparison as rows of text under `HEADINGS`; differences are to the first run."""
    first = compared[0]
    rows: list[tuple[str, ...]] = []
    for run in compared:
        metrics, base = run.facts["metrics"], first.facts["metrics"]
        row = run.variant
        rows.append(
            (
                row.name,
                str(row.image_size),
                str(run.facts["options"]["batch_size"]),
                f"{run.facts['bytes']['model'] / _MEGABYTE:.1f}",
                f"{run.facts['parameters']:,}",
                f"{metrics['loss']:.4f}",
                f"{metrics['loss'] - base['loss']:+.4f}",
                f"{metrics['accuracy']:.4f}",
                f"{metrics['accuracy'] - base['accuracy']:+.4f}",
                _time(run.seconds),
                f"{run.seconds / first.seconds:.2f}",
                f"{row.published_loss:.4f}",
                f"{row.published_accuracy:.4f}",
                _time(row.published_time.total_seconds()),
            )
        )
    return rows


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def write_report(folder: Path) -> list[Path]:
    """Write ``report.md``, ``.html``, ``.csv`` and four plots into a sweep's folder.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    RunError
        If there is no finished run, or one does not hold.
    OutputError
        If a file cannot be written.
    """
    compared = read_runs(folder)
    rows = table(compared)
    plots = _plots(compared, folder)
    texts = {
        "report.md": _markdown(rows, plots),
        "report.html": _html(rows, plots),
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as stream:
            stream.write(text)
    with atomic_write(folder / "report.csv") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([HEADINGS, *rows])
    return [*(folder / name for name in texts), folder / "report.csv", *plots]


def _markdown(rows: Sequence[tuple[str, ...]], plots: Sequence[Path]) -> str:
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *rows]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"# Variants compared\n\n{text}\n" + "".join(
        f"![{plot.stem}]({plot.name})\n" for plot in plots
    )


def _html(rows: Sequence[tuple[str, ...]], plots: Sequence[Path]) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>\n"

    body = cells("th", HEADINGS) + "".join(cells("td", row) for row in rows)
    images = "".join(
        f'<img src="{html.escape(p.name)}" alt="{html.escape(p.stem)}">\n' for p in plots
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Variants compared'
        "</title>\n<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
        "td,th{padding:.3em .7em;text-align:right;border-bottom:1px solid #ccc}"
        "td:first-child{text-align:left}img{max-width:48%;margin:1em 0}</style></head>\n"
        f"<body><h1>Variants compared</h1>\n<table>\n{body}</table>\n{images}</body></html>\n"
    )


def _plots(compared: Sequence[Run], folder: Path) -> list[Path]:
    names = [run.variant.name.upper() for run in compared]
    parameters = [run.facts["parameters"] / 1e6 for run in compared]
    accuracy = [run.facts["metrics"]["accuracy"] for run in compared]
    figures = {
        "size": _two_bars(
            names, "model (MB)", [r.facts["bytes"]["model"] / _MEGABYTE for r in compared],
            "parameters (millions)", parameters, "File size and parameters",
        ),
        "quality": _two_bars(
            names, "test accuracy", accuracy,
            "test loss", [r.facts["metrics"]["loss"] for r in compared], "Accuracy and loss",
        ),
        "accuracy-by-parameters": _scatter(names, parameters, accuracy),
        "curves": _curves(compared),
    }  # fmt: skip
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.png")
        save_png(figure, files[-1])
    return files


def _two_bars(
    names: Sequence[str], left: str, a: Sequence[float], right: str, b: Sequence[float], title: str
) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.suptitle(title)
    for axes, label, values in zip(figure.subplots(1, 2), (left, right), (a, b), strict=True):
        bars = axes.bar(names, values, color=_COLORS(0.3))
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _scatter(names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> Figure:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(x, y, "o-", color=_COLORS(0.3))
    for name, across, up in zip(names, x, y, strict=True):
        axes.annotate(name, (across, up), textcoords="offset points", xytext=(6, 6))
    axes.set(title="Accuracy by parameters", xlabel="parameters (millions)", ylabel="test accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _curves(compared: Sequence[Run]) -> Figure:
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = {
        "loss": "training loss", "val_loss": "validation loss",
        "accuracy": "training accuracy", "val_accuracy": "validation accuracy",
    }  # fmt: skip
    for axes, (column, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for i, run in enumerate(compared):
            color = _COLORS(i / max(1, len(compared) - 1) * 0.9)
            name = run.variant.name.upper()
            axes.plot(run.history["epoch"], run.history[column], color=color, label=name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(ncols=2, fontsize=9)
    return figure
