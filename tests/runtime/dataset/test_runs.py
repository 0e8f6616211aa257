import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nsfwscan.dataset.runs import fault, with_digests

FILES = ("held_out.csv", "model.h5")
PARTS = ("run.json", "model", *FILES)


def make_run(folder: Path, variant: str) -> Path:
    (folder / "model" / "variables").mkdir(parents=True)
    (folder / "model" / "saved_model.pb").write_text(f"graph of {variant}")
    (folder / "model" / "variables" / "index").write_text(f"weights of {variant}")
    for name in FILES:
        (folder / name).write_text(f"{name} of {variant}")
    facts = {"variant": variant, "labels": ("no", "yes"), "metrics": {"loss": 0.1, "é": None}}
    (folder / "run.json").write_text(json.dumps(with_digests(facts, folder, FILES)))
    return folder


def faults(run: Path) -> dict[str, str]:
    facts = json.loads((run / "run.json").read_text())
    found = {name: fault(run, name, facts) for name in PARTS}
    return {name: why for name, why in found.items() if why is not None}


def test_a_sound_run_has_no_fault(tmp_path: Path) -> None:
    run = make_run(tmp_path / "b0", "b0")
    assert faults(run) == {}
    facts = json.loads((run / "run.json").read_text())
    reordered = dict(reversed(facts.items()))
    (run / "run.json").write_text(json.dumps(reordered, indent=7))  # says the same
    assert faults(run) == {}
    old = {name: facts[name] for name in ("variant", "labels", "metrics")}
    (run / "run.json").write_text(json.dumps(old))  # version 0.1.0
    (run / "model.h5").write_text("changed")
    assert faults(run) == {}


@pytest.mark.parametrize("name", ["held_out.csv", "model.h5", "model/variables/index"])
@pytest.mark.parametrize("change", ["byte", "other run", "gone"])
def test_a_file_that_is_not_that_of_the_run_is_named(
    tmp_path: Path, name: str, change: str
) -> None:
    run, other = (make_run(tmp_path / variant, variant) for variant in ("b0", "b1"))
    path, part = run / name, name.partition("/")[0]
    if change == "byte":
        path.write_bytes(path.read_bytes()[:-1] + b"~")
    elif change == "other run":
        (other / name).replace(path)
    else:
        path.unlink()
    said = f"{run / part} is damaged, or is not that of {run / 'run.json'}; restore the folder from"
    if change == "gone" and part == name:
        said = f"cannot read {path}: No such file or directory"
    ((found, why),) = faults(run).items()
    assert (found, why[: len(said)]) == (part, said)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts["labels"].reverse(),
        lambda facts: facts["metrics"].update(loss=0.2),
        lambda facts: facts.pop("variant"),
        lambda facts: facts.update(preprocess={"size": 224}),
        lambda facts: facts.update(facts_sha256=["x"]),
        lambda facts: facts.pop("files_sha256"),
    ],
)
def test_changed_facts_are_known(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    run = make_run(tmp_path / "b0", "b0")
    facts = json.loads((run / "run.json").read_text())
    change(facts)
    (run / "run.json").write_text(json.dumps(facts))
    assert faults(run) == {
        "run.json": f"{run / 'run.json'} is damaged, or was changed after the training; restore it "
        "from a copy, or train again"
    }


def test_the_facts_of_another_run_are_those_of_no_other_file(tmp_path: Path) -> None:
    run, other = (make_run(tmp_path / variant, variant) for variant in ("b0", "b1"))
    (other / "run.json").replace(run / "run.json")
    assert set(faults(run)) == {"model", *FILES}
