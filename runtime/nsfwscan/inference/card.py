"""What people want to know of a model: its operating points, and a model card in Markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from nsfwscan.inference.manifest import Manifest, OutputSpec
from nsfwscan.inference.operating import OperatingPoint
from nsfwscan.util.markdown import escaped, table

PREVALENCES = (0.01, 0.1)
"""Shares of indecent images among all, for which the precision is given."""

HEADER = (
    "name",
    "from score",
    "recall",
    "false alarms",
    *(f"right at {share:.0%}" for share in PREVALENCES),
    "measured on",
    "by",
    "date",
)


def operating_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    """Return the operating points as rows of text under `HEADER`, by ascending threshold.

    The columns after the false alarms are the share of flagged images that are indecent, where so
    many of all images are.
    """
    points = sorted(manifest.operating_points, key=lambda point: point.threshold)
    return [_row(point) for point in points]


def _row(point: OperatingPoint) -> tuple[str, ...]:
    return (
        point.name or "",
        f"{point.threshold:g}",
        _percent(point.recall),
        _percent(point.false_positive_rate),
        *(_percent(point.precision(share)) for share in PREVALENCES),
        point.measured_on,
        point.by,
        point.date or "",
    )


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.3g} %"


_CARD = """\
# {name}

A classifier of images. Its score, from 0 to 1, is the probability that an image is {second}, and
not {first}. It is a guess of a machine: look at what it flags before you act.

{facts}
## Thresholds

A scan flags images from a score of {threshold:g} on: {choice}.
{points}
## From the output to the score

{output}
## Preprocessing

{preprocess}"""

_POINTS = """
The columns "right at" say which share of the flagged images is {second}, where that share of all
images is.

{table}"""


def card(manifest: Manifest, sha256: str) -> str:
    """Return a model card: Markdown that says what a model is, and what is not known of it.

    Parameters
    ----------
    manifest
        The model's manifest.
    sha256
        Lower-case hex digest of the model file.
    """
    first, second = map(escaped, manifest.labels)
    facts = {
        "file (SHA-256)": sha256,
        "source": manifest.source,
        "licence": manifest.licence,
        "training data": manifest.training_data,
        "limits": manifest.limits,
    }
    rows = [tuple(map(escaped, row)) for row in (HEADER, *operating_rows(manifest))]
    points = _POINTS.format(second=second, table=table(*rows)) if len(rows) > 1 else ""
    text = _CARD.format(
        name=escaped(manifest.name),
        first=first,
        second=second,
        facts=_facts({key: "not known" if v is None else v for key, v in facts.items()}),
        threshold=manifest.threshold,
        choice=escaped(manifest.threshold_choice),
        points=points,
        output=_facts(_output(manifest.output)),
        preprocess=_facts(asdict(manifest.preprocess) | asdict(manifest.input)),
    )
    for title, found in (("Training", manifest.training), ("Parity", manifest.parity)):
        if found:
            text += f"\n## {title}\n\n{_facts(found)}"
    return text


def _output(spec: OutputSpec) -> dict[str, Any]:
    facts: dict[str, Any] = {"activation": spec.activation}
    if spec.classes:
        facts["classes"] = ", ".join(spec.classes)
    if spec.reduction == "column":
        return facts | {"column": spec.column}
    return facts | {"reduction": f"{spec.reduction} of {', '.join(spec.counted)}"}


def _facts(facts: Mapping[str, Any]) -> str:
    rows = [(escaped(key.replace("_", " ")), escaped(str(value))) for key, value in _flat(facts)]
    return table(("", ""), *rows)


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield facts within facts as facts of their own."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}: {inner}", fact) for inner, fact in _flat(value))
        elif isinstance(value, (list, tuple)):
            yield key, ", ".join(map(str, value))
        else:
            yield key, value
