import shutil
from pathlib import Path

import pytest
from conftest import Run
from export.conftest import Trained

from nsfwexport.batch import Row, convert_all, table
from nsfwexport.errors import ConversionError
from nsfwexport.runs import training_facts


@pytest.mark.slow
def test_a_failed_run_does_not_stop_the_others(trained: Trained, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained.run, runs / "b0")
    shutil.copytree(trained.run, runs / "broken")
    (runs / "broken" / "model" / "saved_model.pb").write_bytes(b"broken")
    (runs / "unfinished").mkdir()
    (broken,) = [row for row in convert_all(runs, tmp_path / "models", []) if row.error]
    assert broken.name == "broken"
    assert broken.error is not None
    assert "model is damaged" in broken.error
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["b0.onnx"]
    with pytest.raises(ConversionError, match="holds no finished run"):
        convert_all(tmp_path / "models", tmp_path, [])


def test_an_interrupted_or_unreadable_run_is_refused(run: Run, tmp_path: Path) -> None:
    for name, facts in {"a": '{"interrupted": true, "variant": "b0"}', "b": "[]"}.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text(facts)
    done = run("all", "runs", "-o", "models", program="nsfwexport")
    assert done.returncode == 1
    assert done.stdout.splitlines()[3:] == [
        (
            "a: the run was interrupted; continue it with nsfwtrain fit --resume, or convert it as "
            "it is with nsfwexport convert"
        ),
        "b: runs/b/run.json is not a JSON object; train again",
    ]
    assert not list((tmp_path / "models").iterdir())


def test_a_manifest_says_what_happened_in_a_run() -> None:
    facts = {"interrupted": True, "batch_sizes": [64, 32]}
    assert training_facts(facts | {"platform": "linux"}) == facts


def test_the_table_lists_results_and_failures() -> None:
    text = table(
        [
            Row(name="b0", seconds=9.4, megabytes=16.2, largest=4e-7, flips=0),
            Row(name="b1", seconds=1, error="it failed"),
        ]
    )
    assert text.splitlines()[1].split() == ["b0", "9", "16.2", "4e-07", "0"]
    assert text.splitlines()[2].split() == ["b1", "1", "-", "-", "failed"]
    assert text.splitlines()[3] == "b1: it failed"
