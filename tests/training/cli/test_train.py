import json
import os
import re
from pathlib import Path

import pytest
from conftest import Run
from labelled import Collection

from nsfwtrain.data.lock import held


def fit_arguments(collection: Collection, cache: Path) -> list[str | Path]:
    return [
        "fit", "b0", "--store", collection.store, "--split", collection.split, "--out", "run",
        "--backbone", collection.backbone, "--cache", cache,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_model_is_trained_from_the_command_line(
    run: Run, tmp_path: Path, collection: Collection
) -> None:
    arguments = fit_arguments(collection, tmp_path / "cache")
    done = run(*arguments, program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "")
    head, test, cross, verdict, place = done.stdout.splitlines()
    assert re.match(
        r"head: strength \S+, scale [01]\.\d\d, chosen on 5-fold cross-validation over \d+ images;",
        head,
    )
    assert re.match(r"test: loss 0\.\d+ \(0\.\d+ to \d\.\d+\), accuracy [01]\.\d+ \(", test)
    assert re.match(r"cross-validation: loss .* on all 240 images, 5 times in 5 folds", cross)
    assert verdict.startswith("The model is better than always giving the more frequent label")
    assert place == "the run is in run"
    evaluated = run("evaluate", "run", *arguments[2:6], "--cache", "cache", program="nsfwtrain")
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    trained = json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]
    assert f"roc auc              {trained['roc_auc']:.4f}\n" in evaluated.stdout
    again = run(*arguments, program="nsfwtrain")
    assert again.returncode == 2
    assert again.stderr.startswith("nsfwtrain: run holds a run already; continue it with --resume")
    unknown = run("fit", "b9", *arguments[2:], program="nsfwtrain")
    assert unknown.stderr.startswith("nsfwtrain: there is no variant 'b9'; there are b0, b1")


@pytest.mark.slow
def test_two_commands_do_not_share_a_folder(
    run: Run, tmp_path: Path, collection: Collection
) -> None:
    arguments = fit_arguments(collection, tmp_path / "cache")
    with held(tmp_path / "run"):
        done = run(*arguments, program="nsfwtrain")
    assert done.returncode == 2
    assert re.fullmatch(
        rf"nsfwtrain: run is in use by process {os.getpid()} on \S+; wait for its end, or choose "
        "another folder\n",
        done.stderr,
    )
    assert not (tmp_path / "run").exists()
    assert run(*arguments, program="nsfwtrain").returncode == 0
    with held(tmp_path / "evaluation"):
        evaluate = ["evaluate", "run", *arguments[2:6], "--out", "evaluation", "--cache", "cache"]
        done = run(*evaluate, program="nsfwtrain")
    assert done.returncode == 2
    assert done.stderr.startswith("nsfwtrain: evaluation is in use by process ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--epochs 5", "--epochs belongs to --recipe study; omit --epochs, or choose that recipe"),
        (
            "--patience 3 --batch-size 8 --learning-rate 1 --class-weight balanced",
            "--batch-size, --learning-rate, --class-weight, --patience belong to --recipe study",
        ),
        ("--mode end-to-end", "--mode end-to-end belongs to --recipe study"),
        ("--recipe study --prevalence 0.1", "--prevalence belongs to --recipe converged"),
        ("--prevalence 1", "--prevalence must be balanced, train, or a number between 0 and 1"),
        ("--prevalence nan", "got 'nan'"),
        ("--prevalence rare", "got 'rare'"),
        ("--recipe fast", "'fast' is not one of 'converged', 'study'"),
    ],
)
def test_an_option_of_the_other_recipe_is_one_sentence(run: Run, options: str, said: str) -> None:
    arguments = "fit b0 --store s --split f --out r".split()
    done = run(*arguments, *options.split(), program="nsfwtrain")
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
