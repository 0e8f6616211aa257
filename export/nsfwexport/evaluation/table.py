"""The table of a comparison, for a terminal, a page and a spreadsheet. Pure."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from nsfwexport.evaluation.compare import Evaluated, Evaluation
from nsfwexport.evaluation.metrics import METRICS, Estimate, Metric
from nsfwexport.tables import aligned
from nsfwscan.util.escape import printable


@dataclass(frozen=True)
class Row:
    """One measure of all models.

    Attributes
    ----------
    title
        Its name.
    cells
        One for each model.
    best
        The numbers of the models with the best value; empty where none is better.
    """

    title: str
    cells: tuple[str, ...]
    best: frozenset[int] = frozenset()


def sections(evaluation: Evaluation) -> dict[str, list[Row]]:
    """Return the rows under their headings."""
    found = {"Size and speed": _costs(evaluation.models), "Quality": _quality(evaluation.models)}
    if evaluation.reference:
        found[f"Against {evaluation.models[0].name}"] = _changes(evaluation)
    return found


def _costs(models: tuple[Evaluated, ...]) -> list[Row]:
    megabytes = [m.megabytes for m in models]
    median, slow = [m.milliseconds for m in models], [m.milliseconds_95 for m in models]
    rate, memory = [m.images_per_second for m in models], [m.peak_megabytes for m in models]
    return [
        Row("precision", tuple(m.precision for m in models)),
        _ranked("file size", "{:.1f} MB", megabytes, higher=False),
        Row("parameters (millions)", tuple(f"{m.parameters / 1e6:.2f}" for m in models)),
        _ranked("one image on one thread, median", "{:.1f} ms", median, higher=False),
        _ranked("one image on one thread, 95 %", "{:.1f} ms", slow, higher=False),
        _ranked("whole scan", "{:.1f} images/s", rate, higher=True),
        _ranked("peak memory", "{:.0f} MB", memory, higher=False),
    ]


def _ranked(
    title: str,
    form: str,
    numbers: Sequence[float | None],
    *,
    higher: bool,
    cells: tuple[str, ...] | None = None,
) -> Row:
    """Return a row that marks the best value, and every one that looks the same."""
    texts = ["-" if number is None else form.format(number) for number in numbers]
    known = {
        text: number for text, number in zip(texts, numbers, strict=True) if number is not None
    }
    best = frozenset[int]()
    if len(known) > 1:
        first = (max if higher else min)(known, key=lambda text: known[text])
        best = frozenset(i for i, text in enumerate(texts) if text == first)
    return Row(title, cells or tuple(texts), best)


def _quality(models: tuple[Evaluated, ...]) -> list[Row]:
    rows = []
    for name, metric in METRICS.items():
        estimates = [model.quality[name] for model in models]
        cells = tuple(shown(metric, estimate) for estimate in estimates)
        values, higher = [e.value for e in estimates], metric.best == "highest"
        row = _ranked(metric.title, _form(metric), values, higher=higher, cells=cells)
        rows.append(Row(metric.title, cells) if metric.best is None else row)
    rows.append(Row("threshold", tuple(f"{model.threshold:g}" for model in models)))
    return rows


def _form(metric: Metric) -> str:
    return "{:.1%}" if metric.share else "{:.4f}"


def shown(metric: Metric, estimate: Estimate) -> str:
    """Format a value with its interval."""
    value, low, high = map(_form(metric).format, (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _changes(evaluation: Evaluation) -> list[Row]:
    rows = []
    for flagged, title in ((True, "newly flagged"), (False, "newly safe")):
        cells = ["-"]
        for model in range(1, len(evaluation.models)):
            changed = evaluation.changed(model, flagged=flagged)
            ones = sum(one.label for one in changed)
            cells.append(f"{len(changed):,} ({ones:,} {evaluation.label_names[1]})")
        rows.append(Row(title, tuple(cells)))
    return rows


def text(evaluation: Evaluation) -> str:
    """Format the table for a terminal."""
    zeros, ones = (int((evaluation.labels == label).sum()) for label in (0, 1))
    first, second = evaluation.label_names
    head = (
        f"{len(evaluation.paths):,} images of {evaluation.where}: {zeros:,} {first}, {ones:,} "
        f"{second}; with 95 % intervals"
    )
    rows: list[tuple[str, ...]] = [("", *(model.name for model in evaluation.models))]
    for section in sections(evaluation).values():
        rows += [(row.title, *row.cells) for row in section]
    printables = [tuple(printable(cell) for cell in row) for row in rows]
    count, total = len(evaluation.differing), len(evaluation.paths)
    last = f"the models decide differently on {count:,} of {total:,} images"
    return "\n".join([printable(head), aligned(printables), last])


def models_csv(evaluation: Evaluation) -> str:
    """Format one line for each model, with full digits."""
    measures = list(METRICS)
    head = [
        "model", "sha256", "precision", "megabytes", "parameters", "milliseconds",
        "milliseconds_95", "images_per_second", "peak_megabytes", "threshold",
        *(f"{name}{end}" for name in measures for end in ("", "_95_low", "_95_high")),
        *(["newly_flagged", "newly_safe"] if evaluation.reference else []),
    ]  # fmt: skip
    lines = [head]
    for number, m in enumerate(evaluation.models):
        line: list[object] = [
            m.name, m.sha256, m.precision, m.megabytes, m.parameters, m.milliseconds,
            m.milliseconds_95, m.images_per_second, m.peak_megabytes, m.threshold,
        ]  # fmt: skip
        for name in measures:
            e = m.quality[name]
            line += [e.value, e.low, e.high]
        if evaluation.reference:
            line += [len(evaluation.changed(number, flagged=flagged)) for flagged in (True, False)]
        lines.append(["" if cell is None else str(cell) for cell in line])
    return _csv(lines)


def images_csv(evaluation: Evaluation) -> str:
    """Format one line for each image: its label, and score and decision of each model."""
    names = [model.name for model in evaluation.models]
    lines = [["path", "label", *names, *(f"{name} flagged" for name in names), "differs"]]
    differing = {one.path: one for one in evaluation.differing}
    for i, path in enumerate(evaluation.paths):
        flagged = [model.scores[i] >= model.threshold for model in evaluation.models]
        lines.append(
            [path, str(evaluation.labels[i]), *(f"{m.scores[i]}" for m in evaluation.models),
             *("yes" if one else "no" for one in flagged), "yes" if path in differing else "no"]
        )  # fmt: skip
    return _csv(lines)


def _csv(lines: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
