"""Format a parity report as text, Markdown and JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nsfwexport.comparison import Report
from nsfwscan.util.escape import printable

_HEADINGS = (
    "compared", "device", "images", "features", "largest", "mean", "99 %", "logit largest",
    "logit mean", "logit 99 %", "flips", "holds",
)  # fmt: skip


def _rows(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for c in report.comparisons:
        numbers = (
            f"{value:.2g}" for d in (c.probability, c.logit) for value in (d.largest, d.mean, d.p99)
        )
        rows.append(
            (f"same {c.way}" if c.way == "tensors" else c.way, c.device, f"{c.images:,}",
             "-" if c.features is None else f"{c.features.largest:.2g}",
             *numbers, str(c.flips), "yes" if c.holds else "NO")
        )  # fmt: skip
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align rows in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table; the first row is the heading."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text_report(report: Report) -> str:
    """Format a report for a terminal."""
    low, high = report.score_range
    name, on = printable(report.reference), " on generated images" * report.generated
    lines = [
        f"compared with {name}{on}: scores {low:.3f} to {high:.3f}, threshold {report.threshold}",
        aligned(_rows(report)),
    ]
    if (weights := report.weights) is not None:
        lines.append(
            f"weights: {weights.found} of {weights.tensors} tensors compared, {weights.values:,} "
            f"values, largest relative difference {weights.largest:.2g}"
        )
    return "\n".join(lines)


def markdown_report(report: Report) -> str:
    """Format a report as a Markdown table."""
    return markdown(_rows(report))


def json_report(report: Report) -> str:
    """Format a report as JSON, including the worst images."""
    facts = report.facts()
    for entry, comparison in zip(facts["comparisons"], report.comparisons, strict=True):
        entry["holds"] = comparison.holds
        entry["failures"] = list(comparison.failures)
        entry["worst"] = [list(row) for row in asdict(comparison)["worst"]]
    whole = _finite(facts | {"left_out": dict(report.left_out)})
    return json.dumps(whole, indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """Replace each NaN and infinity by None, since JSON has neither."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
