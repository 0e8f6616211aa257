import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from labelled import Collection, make_collection

from nsfwtrain.errors import RunError
from nsfwtrain.run.evaluate import evaluate_run
from nsfwtrain.run.fit import fit
from nsfwtrain.run.options import Converged, Options
from nsfwtrain.run.results import read_scores
from nsfwtrain.variants import by_name


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Make a smaller collection than that of the session: the head is solved in less time."""
    return make_collection(tmp_path_factory.mktemp("small"), images=40)


@pytest.fixture(scope="module")
def run(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluated")
    fit(
        by_name("b0"), collection.store, collection.split, root / "run",
        Options(recipe=Converged()), backbone=str(collection.backbone),
        cache=root / "cache", say=lambda _line: None,
    )  # fmt: skip
    return root / "run"


@pytest.mark.slow
def test_evaluating_a_run_again_gives_the_same_metrics(
    run: Path, collection: Collection, tmp_path: Path
) -> None:
    before = json.loads((run / "run.json").read_text())["metrics"]
    folder, metrics = evaluate_run(run, collection.store, collection.split, cache=tmp_path)
    for name, value in before.items():
        if isinstance(value, float):
            assert metrics[name] == pytest.approx(value, abs=1e-4)
        else:
            assert metrics[name] == value
    assert folder.parent == run / "evaluations"
    ours = read_scores(run).set_index("objectId")
    theirs = pd.read_csv(folder / "scores.csv", index_col="objectId")
    assert ours["score"].to_dict() == pytest.approx(theirs["score"].to_dict(), abs=1e-4)
    assert (folder / "roc.png").exists()
    assert json.loads((folder / "metrics.json").read_text())["images"] == metrics["images"]


@pytest.mark.slow
def test_evaluations_of_other_models_and_splits_are_kept(
    run: Path, collection: Collection, tmp_path: Path
) -> None:
    own = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    evaluate_run(run, collection.store, collection.split, tmp_path / "a", cache=tmp_path)
    evaluate_run(run, collection.store, collection.split, tmp_path / "a", cache=tmp_path)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == own
    lines = collection.split.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    kept = (tmp_path / "a" / "metrics.json").read_bytes()
    with pytest.raises(RunError, match="a holds the evaluation of another split; choose another"):
        evaluate_run(run, collection.store, other, tmp_path / "a", cache=tmp_path)
    shutil.copytree(run, tmp_path / "again")
    (variables,) = (tmp_path / "again" / "model").rglob("*.data-00000-of-00001")
    data = bytearray(variables.read_bytes())
    data[-4] ^= 1
    variables.write_bytes(data)
    with pytest.raises(RunError, match=r"model is damaged, or is not that of .*run\.json"):
        evaluate_run(
            tmp_path / "again", collection.store, collection.split, tmp_path / "b", cache=tmp_path
        )
    assert not (tmp_path / "b").exists()
    facts = json.loads((run / "run.json").read_text())
    for name in ("model_sha256", "files_sha256", "facts_sha256"):  # version 0.1.0 has none
        del facts[name]
    (tmp_path / "again" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match="a holds the evaluation of another model; choose another"):
        evaluate_run(
            tmp_path / "again", collection.store, collection.split, tmp_path / "a", cache=tmp_path
        )
    for place in (run, tmp_path / "again", run / "model" / "variables"):
        before = sorted(place.iterdir())
        with pytest.raises(RunError, match=f"{place} is a training run, which keeps its own eval"):
            evaluate_run(run, collection.store, collection.split, place, cache=tmp_path)
        assert sorted(place.iterdir()) == before
    assert (tmp_path / "a" / "metrics.json").read_bytes() == kept


@pytest.mark.slow
def test_images_that_a_run_has_learned_from_are_counted(
    run: Path, collection: Collection, tmp_path: Path
) -> None:
    said: list[str] = []
    text = collection.split.read_text()
    for part in ("train", "validation"):  # the small validation part is learned from as well
        swapped = text.replace(",test", ",x").replace(f",{part}", ",test").replace(",x", f",{part}")
        (tmp_path / "swapped.csv").write_text(swapped)
        _, metrics = evaluate_run(
            run, collection.store, tmp_path / "swapped.csv", cache=tmp_path, say=said.append
        )
        count = metrics["images"]
        line = said.pop()
        assert line.startswith(
            f"the run has learned from {count} of these {count} images, so the met"
        )


def test_an_invalid_run_is_an_error(run: Path, collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a finished run"):
        evaluate_run(tmp_path, collection.store, collection.split, cache=tmp_path)
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(RunError, match=r"run\.json does not say how images are prepared"):
        evaluate_run(tmp_path / "run", collection.store, collection.split, cache=tmp_path)
    facts = {"preprocess": {"size": 224, "crop": 0.9}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"run/run\.json: preprocessing has no field crop; a newer"):
        evaluate_run(tmp_path / "run", collection.store, collection.split, cache=tmp_path)
