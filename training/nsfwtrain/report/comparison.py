"""Compare finished runs with each other and with a published study."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from nsfwscan.dataset.runs import FACTS_FILE
from nsfwscan.util.files import atomic_write, check_outputs
from nsfwtrain.data.tables import write_table
from nsfwtrain.errors import RunError
from nsfwtrain.report.charts import draw_charts
from nsfwtrain.run.options import Study
from nsfwtrain.run.results import read_history, read_runs
from nsfwtrain.variants import VARIANTS

_MEGABYTE = 1_000_000
_DIGITS = 8  # of a split's SHA-256


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


_FORMATS: dict[str, Callable[[Any], str]] = {
    "run": str,
    "variant": str,
    "recipe": str,
    "epochs": str,
    "batch": str,
    "split": str,
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

_SETTINGS = {
    "split": "split_sha256",
    "labels": "labels",
    "mixed precision": "options.mixed_precision",
    "recipe": "options.recipe",
    "mode": "options.mode",
    "epochs": "epochs",
    "learning rate": "options.learning_rate",
    "class weights": "options.balanced",
    "patience": "options.patience",
    "prevalence": "options.prevalence",
    "seed": "options.seed",
    "left-out images": "left_out",
}
"""What should be the same in runs that are compared: its name, and the fact."""

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
        A row for each run. Differences and ratios are relative to the first row; differences are
        missing where the split is another one, since its test images are others. Times are the
        seconds of preparing the images and of training; missing if another run prepared some.
    """
    variants = _VARIANTS.loc[runs["variant"]].set_index(runs.index)
    loss, accuracy = runs["metrics.loss"], runs["metrics.accuracy"]
    split = _column(runs, "split_sha256").fillna("")
    same = split == split.iloc[0]
    seconds = runs["seconds.data"] + runs["seconds.training"]
    seconds = seconds.where(~(_column(runs, "images.cached") > 0))
    return pd.DataFrame(
        {
            "run": runs.index,
            "variant": runs["variant"],
            "recipe": runs["options.recipe"],
            "epochs": _column(runs, "epochs").map(_number),
            "batch": _batches(runs),
            "split": split.str[:_DIGITS],
            "learned from": _column(runs, "head.learned_from").map(_words).replace("", "train"),
            "labels": _column(runs, "labels").map(_words),
            "image px": variants["image_size"],
            "model MB": runs["bytes.model"] / _MEGABYTE,
            "parameters": runs["parameters"],
            "test loss": loss,
            "loss difference": (loss - loss.iloc[0]).where(same),
            "test accuracy": accuracy,
            "95 % interval": _interval(runs, "metrics.accuracy"),
            "accuracy difference": (accuracy - accuracy.iloc[0]).where(same),
            "test images": runs["metrics.images"],
            "cross-validated accuracy": _with_interval(runs, "estimate.accuracy"),
            "time": seconds,
            "time ratio": seconds / seconds.iloc[0],
            "published loss": variants["published_loss"],
            "published accuracy": variants["published_accuracy"],
            "published time": variants["published_time"].dt.total_seconds(),
        }
    )


def notes(runs: pd.DataFrame) -> list[str]:
    """Return sentences about what the runs of `finished_variants` differ in besides the variant."""
    differing = [
        name
        for name, fact in _SETTINGS.items()
        if _column(runs, fact).dropna().map(repr).nunique() > 1
    ]
    said = []
    if differing:
        said.append(
            f"The runs differ in more than the variant: {', '.join(differing)}. Compare rows that "
            "share these."
        )
    if "split" in differing:
        said.append("Differences are given only for rows with the split of the first row.")
    parts = _column(runs, "unbalanced").map(_words)
    if which := ", ".join(f"{run} ({part})" for run, part in parts.items() if part):
        said.append(
            "Left-out images have unbalanced the labels of parts, so the metrics do not compare: "
            f"{which}."
        )
    if len(warm := (cached := _column(runs, "images.cached")).index[cached > 0]):
        which = ", ".join(f"{run} ({cached[run]:,.0f} images)" for run in warm)
        said.append(f"The times of runs that found images in the cache are not given: {which}.")
    return said


def _batches(runs: pd.DataFrame) -> pd.Series:
    """Return the batch sizes that the epochs had; in runs of version 0.1.0 the one asked for."""
    asked = _column(runs, "options.batch_size").map(_number)
    sizes = _column(runs, "batch_sizes").map(_words)
    return sizes.where(sizes != "", asked)


def _number(value: Any) -> str:
    """Format an integer, which pandas may hold as a float; a missing value gives an empty text."""
    return "" if pd.isna(value) else f"{value:.0f}"


def _column(runs: pd.DataFrame, name: str) -> pd.Series:
    """Return a column; missing values where no run has the fact."""
    return runs.get(name, pd.Series(index=runs.index, dtype="object"))


def _words(value: Any) -> str:
    """Join a list; a missing value gives an empty text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else ""


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
    """Format the cells of a comparison for printing; a missing value gives an empty cell."""
    return pd.DataFrame(
        {name: compared[name].map(partial(_shown, show)) for name, show in _FORMATS.items()}
    )


def _shown(show: Callable[[Any], str], value: Any) -> str:
    return "" if pd.isna(value) else show(value)


def write_report(folder: Path, say: Callable[[str], None] = print) -> list[Path]:
    """Write ``report.md``, ``.html``, ``.csv`` and four charts into a folder of runs; list them.

    Parameters
    ----------
    say
        Gets the `notes`, which the pages have too.

    Raises
    ------
    RunError
        If there is no finished run, or a run is not valid.
    OutputError
        If a file cannot be written.
    """
    found = read_runs(folder)
    runs = finished_variants(found)
    if runs.empty:
        stopped = found.index[found["interrupted"].astype(bool)]
        fix = "make some with nsfwtrain sweep"
        if len(stopped):
            fix = (
                f"continue the interrupted ones ({', '.join(stopped)}) with nsfwtrain fit --resume"
            )
        raise RunError(f"{folder} holds no finished run; {fix}")
    _check_numbers(folder, runs)
    compared, remarks = compare(runs), notes(runs)
    for remark in remarks:
        say(remark)
    histories = {name: read_history(folder / name) for name in compared["run"]}
    table = as_text(compared)
    pages = [folder / "report.md", folder / "report.html"]
    check_outputs(folder, ("report.md", "report.html", "report.csv"))
    charts = draw_charts(compared, histories, folder)
    for page in pages:
        with atomic_write(page) as stream:
            stream.write(render(page.name, table, charts, remarks))
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


def render(
    page: str, table: pd.DataFrame, charts: Sequence[Path], remarks: Sequence[str] = ()
) -> str:
    """Render ``report.md`` or ``report.html`` from its template."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("nsfwtrain.report"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template(f"{page}.j2").render(table=table, charts=charts, remarks=remarks)
