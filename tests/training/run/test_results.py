import json
import subprocess
import sys
from pathlib import Path

import pytest

import nsfwtrain
from nsfwtrain import read_run, read_runs
from nsfwtrain.errors import RunError

FACTS = {
    "variant": "b0",
    "options": {"batch_size": 32, "patience": None},
    "metrics": {"accuracy": 0.75, "confusion": [[1, 2], [3, 4]]},
    "interrupted": False,
    "left_out": {"0" * 40 + ".png": "object is missing"},
    "parameters": 4_050_845,
    "seconds": {"data": 1.5},
    "bytes": {"model": 100},
}
HISTORY = "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.5,0.75,0.6,0.7,1\n2,0,1,1,0,2\n"
SCORES = f"objectId,value,score\n{'1' * 40}.png,1,0.250000\n{'2' * 40}.png,0,1.000000\n"


def make_run(folder: Path, facts: object = FACTS) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "history.csv").write_text(HISTORY)
    (folder / "scores.csv").write_text(SCORES)
    return folder


def test_a_run_is_read_as_frames(tmp_path: Path) -> None:
    run = read_run(str(make_run(tmp_path / "b0")))
    assert run.facts["metrics.accuracy"] == 0.75
    assert run.facts["metrics.confusion"] == [[1, 2], [3, 4]]
    assert run.facts["left_out"] == FACTS["left_out"]
    assert run.history["epoch"].tolist() == [1, 2]
    assert run.history["val_loss"].tolist() == [0.6, 1.0]
    assert run.scores.groupby("value")["score"].mean().to_dict() == {0: 1.0, 1: 0.25}


def test_each_run_is_a_row(tmp_path: Path) -> None:
    make_run(tmp_path / "b2", FACTS | {"metrics": {"accuracy": 0.5}, "interrupted": True})
    make_run(tmp_path / "b0")
    (tmp_path / "b5").mkdir()
    runs = read_runs(tmp_path)
    assert runs.index.tolist() == ["b0", "b2"]
    assert runs["metrics.accuracy"].tolist() == [0.75, 0.5]
    assert runs["interrupted"].tolist() == [False, True]
    assert runs["options.batch_size"].dtype == "int64"


def test_an_invalid_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a finished run"):
        read_run(tmp_path)
    with pytest.raises(RunError, match="holds no finished run; make some with nsfwtrain sweep"):
        read_runs(tmp_path)
    with pytest.raises(RunError, match="is not a JSON object"):
        read_run(make_run(tmp_path / "list", []))
    with pytest.raises(RunError, match=r"run\.json is not valid: it lacks metrics, options"):
        read_run(make_run(tmp_path / "empty", {}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "run.json",
            None,
            "{run} is not a finished run: cannot read {file}: No such file or directory",
        ),
        (
            "run.json",
            b"\xff",
            "{run} is not a finished run: {file} is not in UTF-8; save it as UTF-8",
        ),
        ("run.json", b"{", "{run} is not a finished run: {file} is not a JSON file"),
        ("history.csv", None, "cannot read {file}: No such file or directory"),
        ("history.csv", b"epoch\n\xff\n", "{file} is not in UTF-8; save it as UTF-8"),
        ("history.csv", b'epoch,loss\n"1,0.5\n', "{file} is not a CSV file"),
        ("history.csv", b"epoch,loss\n1,0\n1,0,0\n", "{file} is not a CSV file"),
        ("history.csv", b"", "{file} is empty"),
        (
            "history.csv",
            b"epoch,loss,val_loss,seconds\n1,0,0,1\n",
            "{file} is not valid: it lacks the columns accuracy, val_accuracy",
        ),
        ("scores.csv", None, "cannot read {file}: No such file or directory"),
        ("scores.csv", b"objectId,value\n", "{file} is not valid: it lacks the column score"),
        (
            "scores.csv",
            b"objectId,value,score\nx,,0.5\n",
            "{file} is not valid: the column value must hold only integers",
        ),
        (
            "scores.csv",
            b"objectId,value,score\nx,100000000000000000000,0.5\n",
            "{file} is not valid: the column value must hold only integers",
        ),
        (
            "scores.csv",
            b"objectId,value,score\nx,1,z\n",
            "{file} is not valid: the column score must hold only numbers",
        ),
    ],
)
def test_the_error_for_a_broken_file_names_the_file_and_the_fault(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    run = make_run(tmp_path / "b0")
    file = run / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(RunError) as caught:
        read_run(run)
    assert str(caught.value) == message.format(run=run, file=file)


def test_the_runs_of_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="b0 is itself a run; use read_run, or give its parent"):
        read_runs(make_run(tmp_path / "b0"))


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, nsfwtrain\n"
        "heavy = {'pandas', 'numpy', 'tensorflow', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules)\n"
        "from nsfwtrain import read_run\n"
        "assert not heavy - {'pandas', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not hasattr(nsfwtrain, "read_nothing")
