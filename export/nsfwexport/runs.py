"""Read the folder of a training run, which `nsfwtrain fit` has written."""

import json
from pathlib import Path
from typing import Any

from nsfwexport.errors import ConversionError
from nsfwscan.dataset.runs import FACTS_FILE, fault
from nsfwscan.util.encoding import not_utf8

_TRAINING_FACTS = (
    "split_sha256", "counts", "options", "epochs", "batch_sizes", "interrupted", "metrics",
    "backbone", "backbone_fingerprint", "parameters", "versions", "device", "head", "prevalence",
    "estimate", "model_sha256",
)  # fmt: skip


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read ``run.json``; None if the folder holds no finished run.

    Raises
    ------
    ConversionError
        If it cannot be read, is not a JSON object, or does not have its digest.
    """
    path = folder / FACTS_FILE
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ConversionError(f"{path} {not_utf8(error)}") from error
    except (OSError, ValueError) as error:
        raise ConversionError(f"cannot read {path}: {error}") from error
    if not isinstance(facts, dict):
        raise ConversionError(f"{path} is not a JSON object; train again")
    check_file(folder, FACTS_FILE, facts)
    return facts


def check_file(folder: Path, name: str, facts: dict[str, Any]) -> Path:
    """Return the path of a file of a run, or of its model folder.

    Raises
    ------
    ConversionError
        If it does not have the digest that the facts of the run state.
    """
    if (why := fault(folder, name, facts)) is not None:
        raise ConversionError(why)
    return folder / name


def training_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a run that the manifest of its model records.

    A backbone from a local folder is called by the folder's name. Its fingerprint identifies it.
    """
    found = {key: facts[key] for key in _TRAINING_FACTS if key in facts}
    backbone = found.get("backbone")
    if isinstance(backbone, str) and "://" not in backbone:
        found["backbone"] = Path(backbone).name
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"it holds {word}, which is not valid JSON")
