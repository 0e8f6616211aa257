"""Format a parity report as text, Markdown and JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nsfwexport.comparison import Report
from nsfwexport.quantization.candidates import Candidate
from nsfwexport.quantization.cascade import LEAST, MARGIN, Verdict
from nsfwscan.util.escape import printable
from nsfwscan.util.markdown import table

_HEADINGS = (
    "compared", "device", "images", "features", "largest", "mean", "99 %", "logit largest",
    "logit mean", "logit 99 %", "flips", "holds",
)  # fmt: skip
_CANDIDATE_HEADINGS = (
    "candidate", "MB", "ms", "speed", "largest", "mean", "99 %", "flips", "holds",
)  # fmt: skip
_CASCADE_HEADINGS = ("threshold", "differ without", "differ with", "scored again", "share")


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


def candidate_table(candidates: Sequence[Candidate]) -> str:
    """Format the candidates of a conversion to integers, in the order in which they were tried."""
    rows: list[tuple[str, ...]] = [_CANDIDATE_HEADINGS]
    for candidate in candidates:
        comparison = candidate.comparison
        d = comparison.probability
        rows.append(
            (str(candidate.recipe), f"{candidate.megabytes:.1f}", f"{candidate.milliseconds:.1f}",
             f"{candidate.speedup:.2f}",
             *(f"{value:.2g}" for value in (d.largest, d.mean, d.p99)),
             f"{comparison.flips} of {comparison.images}", "yes" if comparison.holds else "NO")
        )  # fmt: skip
    return aligned(rows)


def _cascade_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_CASCADE_HEADINGS]
    for effect in verdict.effects:
        called = f"{effect.threshold} ({', '.join(effect.names)})"
        counts = (len(effect.differing), len(effect.remaining), effect.again)
        share = f"{effect.again / verdict.images:.1%}"
        rows.append((called, *(f"{count:,}" for count in counts), share))
    return rows


def text_cascade(verdict: Verdict) -> str:
    """Format the verdict on a band for a terminal."""
    return f"{_headline(verdict)}\n{aligned(_cascade_rows(verdict))}"


def markdown_cascade(verdict: Verdict) -> str:
    """Format the verdict on a band as a Markdown table below a sentence."""
    return f"{_headline(verdict)}\n\n{table(*_cascade_rows(verdict))}".rstrip()


def _headline(verdict: Verdict) -> str:
    line = f"{verdict.images:,} images, a band of {verdict.band:g} in log-odds"
    if not verdict.chosen:
        return f"{line} ({verdict.needed:.2g} needed)"
    return (
        f"{line}: {MARGIN} times what these images need ({verdict.needed:.2g}), as a margin for "
        f"images not seen, and at least {LEAST}"
    )


def json_cascade(verdict: Verdict) -> str:
    """Format the verdict on a band as JSON."""
    effects = [
        {
            "threshold": effect.threshold,
            "names": effect.names,
            "differ_without": len(effect.differing),
            "differ_with": len(effect.remaining),
            "scored_again": effect.again,
        }
        for effect in verdict.effects
    ]
    facts = {
        "images": verdict.images,
        "band": verdict.band,
        "needed": verdict.needed,
        "thresholds": effects,
        "left_out": dict(verdict.left_out),
    }
    return json.dumps(facts, indent=2)


def markdown_report(report: Report) -> str:
    """Format a report as a Markdown table."""
    return table(*_rows(report)).rstrip()


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
