"""Read finished runs as data frames, for reports and notebooks.

::

    from nsfwtrain import read_run, read_runs

    read_run("runs/b0").history.plot(x="strength", y=["loss", "val_loss"], logx=True)
    read_runs("runs").sort_values("metrics.accuracy")
"""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nsfwscan.dataset.runs import FACTS_FILE, fault
from nsfwscan.util.encoding import not_utf8
from nsfwtrain.errors import RunError
from nsfwtrain.run.state import HISTORY

HISTORY_FILE, SCORES_FILE = "history.csv", "scores.csv"

PATH = {
    "strength": "float64",
    "scale": "float64",
    "iterations": "int64",
    "loss": "float64",
    "accuracy": "float64",
    "val_loss": "float64",
    "val_accuracy": "float64",
    "seconds": "float64",
    "chosen": "int64",
}
"""Columns and dtypes of the converged recipe's history, see `nsfwtrain.run.strength.Choice`."""

SCORES = {"objectId": "str", "value": "int64", "score": "float64"}
"""Columns and dtypes of the scores."""

_NEEDED = ("metrics", "options", "bytes", "parameters", "seconds")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    facts
        The content of ``run.json``. A nested fact has both names: ``metrics.accuracy``.
    history
        A row for each ``strength`` of the penalty, see `nsfwtrain.run.strength.Choice`; or, of the
        study's recipe, for each ``epoch``, with ``loss``, ``accuracy``, ``val_loss``,
        ``val_accuracy`` and ``seconds``.
    scores
        A row for each test image: ``objectId``, ``value`` (its label) and ``score`` (0-1).
    """

    folder: Path
    facts: pd.Series
    history: pd.DataFrame
    scores: pd.DataFrame


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read the facts, the history and the scores of a run.

    Raises
    ------
    RunError
        If the folder holds no finished run, or one of its files is not valid.
    """
    path = Path(folder)
    return Run(path, pd.Series(_flat_facts(path)), read_history(path), read_scores(path))


def read_runs(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the facts of all runs in a folder.

    Returns
    -------
    pandas.DataFrame
        A row for each run; its folder's name is the index. The columns are those of `Run.facts`.
        ``interrupted`` tells whether Ctrl-C stopped the run.

    Raises
    ------
    RunError
        If the folder holds no run or is itself a run, or a ``run.json`` is not valid.
    """
    path = Path(folder)
    runs = sorted(facts.parent for facts in path.glob(f"*/{FACTS_FILE}"))
    if not runs:
        if any(path.glob(FACTS_FILE)):
            raise RunError(f"{path} is itself a run; use read_run, or give its parent folder")
        raise RunError(f"{path} holds no finished run; make some with nsfwtrain sweep")
    return pd.DataFrame([_flat_facts(run) for run in runs], index=[run.name for run in runs])


def read_facts(run: Path) -> dict[str, Any]:
    """Read ``run.json`` as it is.

    Raises
    ------
    RunError
        If it cannot be read, is not a JSON object, or does not have its digest.
    """
    path = run / FACTS_FILE
    try:
        facts = json.loads(_read_text(path))
    except RunError as error:
        raise RunError(f"{run} is not a finished run: {error}") from error
    except ValueError as error:
        raise RunError(f"{run} is not a finished run: {path} is not a JSON file") from error
    if not isinstance(facts, dict):
        raise RunError(f"{run} is not a finished run: {FACTS_FILE} is not a JSON object")
    if (why := fault(run, FACTS_FILE, facts)) is not None:
        raise RunError(why)
    return facts


def check_file(run: Path, name: str) -> Path:
    """Return the path of a file of a run, or of its model folder.

    Raises
    ------
    RunError
        If it does not have the digest that ``run.json`` states, or as `read_facts`. An unfinished
        run has no ``run.json``.
    """
    facts = read_facts(run) if (run / FACTS_FILE).exists() else {}
    if (why := fault(run, name, facts)) is not None:
        raise RunError(why)
    return run / name


def read_history(run: Path) -> pd.DataFrame:
    """Read ``history.csv``; raise RunError if it is not valid, or is not that of the run."""
    return _read_csv(check_file(run, HISTORY_FILE), PATH, HISTORY)


def read_scores(run: Path) -> pd.DataFrame:
    """Read ``scores.csv``; raise RunError if it is not valid, or is not that of the run."""
    return _read_csv(check_file(run, SCORES_FILE), SCORES)


def _read_csv(path: Path, *schemas: dict[str, str]) -> pd.DataFrame:
    """Read a table in the first schema whose first column it has, or in the last."""
    text = _read_text(path)
    try:
        frame = pd.read_csv(io.StringIO(text))
    except pd.errors.EmptyDataError as error:
        raise RunError(f"{path} is empty") from error
    except pd.errors.ParserError as error:
        raise RunError(f"{path} is not a CSV file") from error
    dtypes = next((one for one in schemas if next(iter(one)) in frame), schemas[-1])
    absent = [name for name in dtypes if name not in frame]
    if absent:
        noun = "column" if len(absent) == 1 else "columns"
        raise RunError(f"{path} is not valid: it lacks the {noun} {', '.join(absent)}")
    frame = frame[list(dtypes)]
    for name, dtype in dtypes.items():
        try:
            frame = frame.astype({name: dtype})
        except (ValueError, OverflowError) as error:
            numbers = "integers" if dtype == "int64" else "numbers"
            raise RunError(
                f"{path} is not valid: the column {name} must hold only {numbers}"
            ) from error
    return frame


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} {not_utf8(error)}") from error


def _flat_facts(run: Path) -> dict[str, Any]:
    """Read ``run.json`` and join the names of nested facts with a dot."""
    facts = read_facts(run)
    absent = [name for name in _NEEDED if name not in facts]
    if absent:
        raise RunError(f"{run / FACTS_FILE} is not valid: it lacks {', '.join(absent)}")
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict) and name != "left_out":  # whose keys are object IDs
            flat |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            flat[name] = value
    return {**flat, "interrupted": bool(flat.get("interrupted"))}
