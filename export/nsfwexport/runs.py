"""Read the folder of a training run, which `nsfwtrain fit` has written."""

import json
from pathlib import Path
from typing import Any

from nsfwexport.errors import ConversionError

_TRAINING_FACTS = (
    "split_sha256", "counts", "options", "epochs", "batch_sizes", "interrupted", "metrics",
    "backbone", "backbone_fingerprint", "parameters", "versions", "device", "head", "prevalence",
    "estimate",
)  # fmt: skip


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read ``run.json``; None if the folder holds no finished run.

    Raises
    ------
    ConversionError
        If it cannot be read, or is not a JSON object.
    """
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError) as error:
        raise ConversionError(f"cannot read {path}: {error}") from error
    if not isinstance(facts, dict):
        raise ConversionError(f"{path} is not a JSON object; train again")
    return facts


def training_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a run that the manifest of its model records."""
    return {key: facts[key] for key in _TRAINING_FACTS if key in facts}


def _no_number(word: str) -> None:
    raise ValueError(f"it holds {word}, which is not valid JSON")
