"""The digests of a training run, by which a damaged file or one of another run is known.

``run.json`` states them: ``model_sha256`` of the folder ``model/``, ``files_sha256`` of each other
file with results, and ``facts_sha256`` of the other facts in ``run.json`` itself. Training writes
them. Each command compares those of what it reads. Runs of version 0.1.0 state none.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from nsfwscan.util.digest import file_sha256, folder_sha256

FACTS_FILE, MODEL_FOLDER = "run.json", "model"

_FACTS = "facts_sha256"


def with_digests(facts: Mapping[str, Any], run: Path, files: Iterable[str]) -> dict[str, Any]:
    """Return the facts of a run with its digests.

    Parameters
    ----------
    facts
        The content of ``run.json`` so far.
    files
        The names of the files with results, which the folder has.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    whole = {
        **facts,
        "model_sha256": folder_sha256(run / MODEL_FOLDER),
        "files_sha256": {name: file_sha256(run / name) for name in files},
    }
    return {**whole, _FACTS: _facts_sha256(whole)}


def fault(run: Path, name: str, facts: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a part of a run, and what to do.

    Parameters
    ----------
    name
        `FACTS_FILE`, `MODEL_FOLDER`, or the name of a file.
    facts
        The content of ``run.json``.

    Returns
    -------
    str or None
        A sentence; None if the part has its digest, or the run states none.
    """
    path = run / name
    if name == FACTS_FILE:
        if facts.get(_FACTS) in (None, _facts_sha256(facts)):
            return None
        return (
            f"{path} is damaged, or was changed after the training; restore it from a copy, or "
            "train again"
        )
    is_model = name == MODEL_FOLDER
    stated = facts.get("model_sha256") if is_model else facts.get("files_sha256", {}).get(name)
    if stated is None:
        return None
    try:
        if stated == (folder_sha256(path) if is_model else file_sha256(path)):
            return None
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    return (
        f"{path} is damaged, or is not that of {run / FACTS_FILE}; restore the folder from a copy, "
        "or train again"
    )


def _facts_sha256(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all facts but itself, whatever their order and the spaces between."""
    others = json.loads(json.dumps({name: facts[name] for name in facts if name != _FACTS}))
    return sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
