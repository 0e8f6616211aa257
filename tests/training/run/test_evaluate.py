import json
import shutil
from pathlib import Path

import pytest
from labelled import Collection

from nsfwtrain.errors import RunError
from nsfwtrain.run.evaluate import evaluate_run
from nsfwtrain.run.fit import fit
from nsfwtrain.run.options import Options
from nsfwtrain.variants import by_name


@pytest.fixture(scope="module")
def run(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluated")
    fit(
        by_name("b0"), collection.store, collection.split, root / "run",
        Options(batch_size=32, epochs=3), backbone=str(collection.backbone),
        cache=root / "cache", say=lambda _line: None,
    )  # fmt: skip
    return root / "run"


def test_evaluating_a_run_again_gives_the_same_metrics(
    run: Path, collection: Collection, tmp_path: Path
) -> None:
    before = json.loads((run / "run.json").read_text())["metrics"]
    scores = (run / "scores.csv").read_text().splitlines()
    (run / "scores.csv").unlink()
    (run / "roc.png").unlink()
    metrics = evaluate_run(run, collection.store, collection.split, cache=tmp_path)
    for name, value in before.items():
        if isinstance(value, float):
            assert metrics[name] == pytest.approx(value, abs=1e-4)
        else:
            assert metrics[name] == value
    assert len((run / "scores.csv").read_text().splitlines()) == len(scores)
    assert (run / "roc.png").exists()
    assert json.loads((run / "metrics.json").read_text())["images"] == metrics["images"]


def test_an_invalid_run_is_an_error(run: Path, collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a finished run"):
        evaluate_run(tmp_path, collection.store, collection.split, cache=tmp_path)
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(RunError, match=r"run\.json does not say how images are prepared"):
        evaluate_run(tmp_path / "run", collection.store, collection.split, cache=tmp_path)
