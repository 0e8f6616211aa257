"""A mixed or damaged run is refused by each command that reads the damaged file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from export.conftest import Trained

from nsfwexport import calibrate, keras
from nsfwexport.batch import convert_all
from nsfwscan import Classifier, NsfwScanError
from nsfwtrain import read_run, read_runs
from nsfwtrain.report.comparison import write_report
from nsfwtrain.run.evaluate import evaluate_run
from nsfwtrain.run.fit import fit
from nsfwtrain.run.options import Converged, Options
from nsfwtrain.variants import by_name

Command = Callable[[Path, Trained], object]


def convert_runs(run: Path, _trained: Trained) -> None:
    """Convert all runs of a folder, and raise the error of the only row."""
    (row,) = convert_all(run.parent, run.parent / "models", [])
    assert row.error is not None
    raise NsfwScanError(row.error)


def evaluate(run: Path, trained: Trained) -> object:
    made = trained.collection
    return evaluate_run(run, made.store, made.split, cache=run.parent, say=lambda _line: None)


COMMANDS: dict[str, Command] = {
    "convert, verify": lambda run, _trained: keras.load(run),
    "all": convert_runs,
    "calibrate": lambda run, trained: calibrate.held_out(
        Classifier.load(trained.model, device="cpu").manifest, run
    ),
    "evaluate": evaluate,
    "report": lambda run, _trained: write_report(run.parent, say=lambda _line: None),
    "read_run": lambda run, _trained: read_run(run),
    "read_runs": lambda run, _trained: read_runs(run.parent),
}
READERS = {
    "run.json": list(COMMANDS),
    "model/saved_model.pb": ["convert, verify", "evaluate"],
    "model/variables/variables.index": ["convert, verify", "evaluate"],
    "held_out.csv": ["calibrate"],
    "split.csv": ["evaluate"],
    "history.csv": ["report", "read_run"],
    "scores.csv": ["read_run"],
}
UNREAD = ["model.h5", "metrics.json"]
"""Files that people read. Their digests are stated as well."""

BYTES = [(name, command) for name in READERS for command in READERS[name]]
SWAPS = [
    pair
    for pair in BYTES
    # A sound run.json of another run: read_runs reads nothing else, and "all" starts "convert".
    if pair not in {("run.json", "read_runs"), ("run.json", "all")}
]


@pytest.fixture(scope="module")
def other(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train another run on another split of the same collection."""
    root = tmp_path_factory.mktemp("other")
    made = trained.collection
    head, *rows = made.split.read_text().splitlines()
    short = [row for row in rows if ",1,train" not in row or row[0] in "01234567"]
    (root / "split.csv").write_text("\n".join([head, *short]) + "\n")
    fit(
        by_name("b0"), made.store, root / "split.csv", root / "b0",
        Options(recipe=Converged(prevalence=0.1)), backbone=str(made.backbone),
        cache=trained.cache, say=lambda _line: None,
    )  # fmt: skip
    return root / "b0"


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    shutil.copytree(trained.run, tmp_path / "runs" / "b0")
    return tmp_path / "runs" / "b0"


def test_the_table_has_every_file_that_has_a_digest(trained: Trained) -> None:
    stated = json.loads((trained.run / "run.json").read_text())["files_sha256"]
    read = {name for name in READERS if "/" not in name} - {"run.json"}
    assert set(stated) == read | set(UNREAD)


@pytest.mark.parametrize(("name", "command"), BYTES)
def test_a_changed_byte_is_noticed(trained: Trained, copy: Path, name: str, command: str) -> None:
    path = copy / name
    if name == "run.json":
        path.write_text(path.read_text().replace('"decent",', '"docent",'))
        said = f"{path} is damaged, or was changed after the training; restore it from a copy"
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        said = damaged(copy, name)
    with pytest.raises(NsfwScanError) as caught:
        COMMANDS[command](copy, trained)
    assert str(caught.value).startswith(said)
    assert not (copy / "evaluations").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "command"), SWAPS)
def test_a_file_of_another_run_is_noticed(
    trained: Trained, copy: Path, other: Path, name: str, command: str
) -> None:
    assert (copy / name).read_bytes() != (other / name).read_bytes()
    shutil.copy(other / name, copy / name)
    with pytest.raises(NsfwScanError) as caught:
        COMMANDS[command](copy, trained)
    said = damaged(copy, name)
    if name == "run.json":
        said = {
            "convert, verify": damaged(copy, "model"),
            "calibrate": f"the model is not that of {copy}; convert this run again",
            "evaluate": damaged(copy, "split.csv"),
            "report": damaged(copy, "history.csv"),
            "read_run": damaged(copy, "history.csv"),
        }[command]
    assert str(caught.value).startswith(said)
    assert not (copy / "evaluations").exists()


def damaged(run: Path, name: str) -> str:
    path = run / name.partition("/")[0]
    return f"{path} is damaged, or is not that of {run / 'run.json'}; restore the folder from a"


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "all"])
def test_a_run_without_digests_is_read(trained: Trained, copy: Path, command: str) -> None:
    """Runs of version 0.1.0 state none."""
    facts = json.loads((copy / "run.json").read_text())
    for name in ("facts_sha256", "files_sha256"):
        del facts[name]
    (copy / "run.json").write_text(json.dumps(facts))
    COMMANDS[command](copy, trained)
