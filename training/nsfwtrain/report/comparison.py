"""Compare finished runs with each other and with a published study."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from numbers import Real
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from nsfwscan.util.files import atomic_write, check_outputs
from nsfwtrain.data.tables import write_table
from nsfwtrain.errors import RunError
from nsfwtrain.report.charts import draw_charts
from nsfwtrain.run.options import Study
from nsfwtrain.run.results import FACTS_FILE, read_history, read_runs
from nsfwtrain.variants import VARIANTS

_MEGABYTE = 1_000_000


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


_FORMATS: dict[str, Callable[[Any], str]] = {
    "run": str,
    "variant": str,
    "recipe": str,
    "learned from": str,
    "labels": str,
    "image px": str,
    "model MB": "{:.1f}".format,
    "parameters": "{:,}".format,
    "test loss": "{:.4f}".format,
    "loss difference": "{:+.4f}".format,
    "test accuracy": "{:.4f}".format,
    "95 % interval": str,
    "accuracy difference": "{:+.4f}".format,
    "test images": "{:,}".format,
    "cross-validated accuracy": str,
    "time": _time,
    "time ratio": "{:.2f}".format,
    "published loss": "{:.4f}".format,
    "published accuracy": "{:.4f}".format,
    "published time": _time,
}
"""The columns of a comparison, each with its format."""


_NUMBERS = (
    "bytes.model",
    "parameters",
    "metrics.loss",
    "metrics.accuracy",
    "metrics.images",
    "seconds.data",
    "seconds.training",
)
"""The facts that `compare` reads."""

_VARIANTS = pd.DataFrame([asdict(row) for row in VARIANTS]).set_index("name")


def finished_variants(runs: pd.DataFrame) -> pd.DataFrame:
    """Select the finished runs of the variants, in the order of the variants, then of the recipes.

    `runs` is the frame of `nsfwtrain.read_runs`. Runs before there were recipes followed the
    study's.
    """
    recipe = _column(runs, "options.recipe").fillna(Study.name)
    known = runs.assign(**{"options.recipe": recipe})
    known = known[known["variant"].isin(_VARIANTS.index) & ~known["interrupted"].astype(bool)]
    place = known["variant"].map(list(_VARIANTS.index).index)
    return known.assign(place=place).sort_values(["place", "options.recipe"], kind="stable")


def compare(runs: pd.DataFrame) -> pd.DataFrame:
    """Compare the runs of `finished_variants`, of which there must be at least one.

    Returns
    -------
    pandas.DataFrame
        A row for each run. Differences and ratios are relative to the first row. Times are the
        seconds of preparing the images and of training.
    """
    variants = _VARIANTS.loc[runs["variant"]].set_index(runs.index)
    loss, accuracy = runs["metrics.loss"], runs["metrics.accuracy"]
    seconds = runs["seconds.data"] + runs["seconds.training"]
    return pd.DataFrame(
        {
            "run": runs.index,
            "variant": runs["variant"],
            "recipe": runs["options.recipe"],
            "learned from": _column(runs, "head.learned_from").map(_words).replace("", "train"),
            "labels": _column(runs, "labels").map(_words),
            "image px": variants["image_size"],
            "model MB": runs["bytes.model"] / _MEGABYTE,
            "parameters": runs["parameters"],
            "test loss": loss,
            "loss difference": loss - loss.iloc[0],
            "test accuracy": accuracy,
            "95 % interval": _interval(runs, "metrics.accuracy"),
            "accuracy difference": accuracy - accuracy.iloc[0],
            "test images": runs["metrics.images"],
            "cross-validated accuracy": _with_interval(runs, "estimate.accuracy"),
            "time": seconds,
            "time ratio": seconds / seconds.iloc[0],
            "published loss": variants["published_loss"],
            "published accuracy": variants["published_accuracy"],
            "published time": variants["published_time"].dt.total_seconds(),
        }
    )


def _column(runs: pd.DataFrame, name: str) -> pd.Series:
    """Return a column; missing values where no run has the fact."""
    return runs.get(name, pd.Series(index=runs.index, dtype="object"))


def _words(value: Any) -> str:
    """Join a list of words; a missing value gives an empty text."""
    return ", ".join(value) if isinstance(value, list) else ""


def _interval(runs: pd.DataFrame, name: str) -> pd.Series:
    """Format the 95 % interval of a fact; empty where there is none."""
    limits = zip(_column(runs, f"{name}_95_low"), _column(runs, f"{name}_95_high"), strict=True)
    shown = ["" if pd.isna(low) else f"{low:.4f} to {high:.4f}" for low, high in limits]
    return pd.Series(shown, runs.index)


def _with_interval(runs: pd.DataFrame, name: str) -> pd.Series:
    values = zip(_column(runs, name), _interval(runs, name), strict=True)
    shown = [f"{value:.4f} ({limits})" if limits else "" for value, limits in values]
    return pd.Series(shown, runs.index)


def as_text(compared: pd.DataFrame) -> pd.DataFrame:
    """Format the cells of a comparison for printing."""
    return pd.DataFrame({name: compared[name].map(show) for name, show in _FORMATS.items()})


def write_report(folder: Path) -> list[Path]:
    """Write ``report.md``, ``.html``, ``.csv`` and four charts into a sweep's folder; list them.

    Raises
    ------
    RunError
        If there is no finished run, or a run is not valid.
    OutputError
        If a file cannot be written.
    """
    runs = finished_variants(read_runs(folder))
    if runs.empty:
        raise RunError(f"{folder} holds no finished run; make some with nsfwtrain sweep")
    _check_numbers(folder, runs)
    compared = compare(runs)
    histories = {name: read_history(folder / name) for name in compared["run"]}
    table = as_text(compared)
    pages = [folder / "report.md", folder / "report.html"]
    check_outputs(folder, ("report.md", "report.html", "report.csv"))
    charts = draw_charts(compared, histories, folder)
    for page in pages:
        with atomic_write(page) as stream:
            stream.write(render(page.name, table, charts))
    write_table(folder / "report.csv", table)
    return [*pages, folder / "report.csv", *charts]


def _check_numbers(folder: Path, runs: pd.DataFrame) -> None:
    """Raise RunError if a run lacks a number that `compare` reads."""
    for run, facts in runs.iterrows():
        for name in _NUMBERS:
            value = facts.get(name)
            if not isinstance(value, Real) or math.isnan(value):
                path = folder / str(run) / FACTS_FILE
                raise RunError(f"{path} is not valid: {name} is missing or not a number")


def render(page: str, table: pd.DataFrame, charts: Sequence[Path]) -> str:
    """Render ``report.md`` or ``report.html`` from its template."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("nsfwtrain.report"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template(f"{page}.j2").render(table=table, charts=charts)
