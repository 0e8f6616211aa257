import itertools
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from documents import ROOT, all_blocks
from export.conftest import Trained
from helpers import lacking, mean_model
from PIL import Image

from nsfwexport import modelfile
from nsfwscan import Manifest, Preprocess
from nsfwscan.dataset.labels import read_held_out
from nsfwscan.dataset.objects import object_path
from nsfwscan.inference.modelfile import default_model_path

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def test_check_accepts_a_valid_model(run: Run, tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx")
    named = replace(OURS, labels=("dull", "red"))
    path.write_bytes(modelfile.embed(modelfile.read_graph(path), named))
    done = run("check", "m.onnx", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "m.onnx: a valid, self-contained model file that scores red\n"


def test_check_lists_broken_rules(run: Run) -> None:
    done = run("check", default_model_path(), program="nsfwexport")
    assert done.returncode == 1
    assert "the manifest is not embedded in the file but built in" in done.stdout


def test_a_missing_model_is_reported_in_one_sentence(run: Run) -> None:
    done = run("check", "gone.onnx", program="nsfwexport")
    assert done.returncode == 2
    assert done.stderr == "nsfwexport: cannot read the model gone.onnx: No such file or directory\n"


@pytest.mark.slow
def test_convert_prints_the_comparison(run: Run, tmp_path: Path, trained: Trained) -> None:
    done = run("convert", trained.run, "-o", "m.onnx", "--format", "json", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [c["holds"] for c in report["comparisons"]] == [True, True]
    assert run("check", "m.onnx", program="nsfwexport").returncode == 0


@pytest.mark.slow
def test_verify_exits_with_1_and_lists_the_worst_images(
    run: Run, tmp_path: Path, trained: Trained
) -> None:
    store = ["--store", trained.collection.store, "--split", trained.collection.split]
    fine = run("verify", trained.model, trained.run, *store, program="nsfwexport")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.count("yes\n") == 2
    strict = ["--max-difference", "0"]
    broken = run("verify", trained.model, trained.run, *store, *strict, program="nsfwexport")
    assert broken.returncode == 1
    first, *worst = broken.stderr.splitlines()
    assert "does not give the scores of" in first
    assert len(worst) == 5
    assert all(line.startswith(f"  {trained.collection.store}") for line in worst)


def test_contradictory_options_are_refused(run: Run, trained: Trained) -> None:
    for arguments, sentence in (
        (["--store", "s"], "--store and --split go together"),
        (["--images", "i", "--store", "s", "--split", "f"], "not both"),
    ):
        done = run("verify", trained.model, trained.run, *arguments, program="nsfwexport")
        assert done.returncode == 2
        assert sentence in done.stderr
    for arguments, sentence in (
        (["--labels", "l.csv"], "--target-fpr or --target-recall"),
        (["--target-fpr", "0.1"], "--run, --store and --split, or --labels"),
        (["--labels", "l.csv", "--target-fpr", "1"], "must be between 0 and 1, got 1"),
    ):
        done = run("calibrate", trained.model, *arguments, program="nsfwexport")
        assert done.returncode == 2
        assert sentence in done.stderr


def test_an_unwritable_output_is_refused_before_the_work(run: Run, trained: Trained) -> None:
    for place, why in ((".", "it is a folder"), ("gone/m.onnx", "there is no folder gone")):
        done = run("convert", trained.run, "-o", place, program="nsfwexport")
        assert done.returncode == 2
        assert done.stderr == f"nsfwexport: cannot write {place}: {why}\n"


@pytest.mark.slow
def test_a_threshold_is_chosen_on_images_that_the_model_has_not_learned_from(
    run: Run, tmp_path: Path, trained: Trained
) -> None:
    shutil.copy(trained.model, tmp_path / "m.onnx")
    target = ["--target-fpr", "0.1"]
    done = run("calibrate", "m.onnx", "--run", trained.run, *target, program="nsfwexport")
    assert done.returncode == 0
    assert "more labelled images would narrow it" in done.stderr
    held_out = read_held_out(trained.run / "held_out.csv")
    threshold, rate, _ = (line.split()[1:] for line in done.stdout.splitlines())
    zeros = [score for label, score in held_out if label.value == 0]
    flagged = sum(score >= float(threshold[0]) for score in zeros)
    assert flagged == int(0.1 * len(zeros))
    assert f"{flagged} of {len(zeros)})" in " ".join(rate)
    lineage = run("model", "m.onnx").stdout
    assert f"on {len(held_out)} images of its training, held out: false-positive rate" in lineage
    assert str(trained.collection.store.parent).encode() not in (tmp_path / "m.onnx").read_bytes()

    collection = ["--store", trained.collection.store, "--split", trained.collection.split]
    for part in ("train", "validation"):
        done = run(
            "calibrate", "m.onnx", *collection, "--part", part, *target, program="nsfwexport"
        )
        assert done.returncode == 2
        assert done.stderr == (
            f"nsfwexport: the model has learned from the part {part} of its collection; give "
            "--run with its training run, --part with another part, or other images with --labels\n"
        )
    done = run("calibrate", "m.onnx", *collection, "--part", "test", *target, program="nsfwexport")
    assert done.returncode == 0


@pytest.mark.slow
def test_a_scan_flags_what_the_calibration_counted(run: Run, tmp_path: Path) -> None:
    """The second image has the score 0.7; as a float32 that is less than the threshold 0.7."""
    mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    for name, levels in {"a": (26, 26), "b": (178, 179), "c": (179, 179)}.items():
        pixels = np.full((8, 8, 3), levels[0], np.uint8)
        pixels[:4] = levels[1]
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "l.csv").write_text("path,label\na.png,0\nb.png,0\nc.png,1\n\n")
    target = ["--labels", "l.csv", "--target-fpr", "0.4"]
    done = run("calibrate", "m.onnx", *target, program="nsfwexport")
    assert done.returncode == 0
    assert "threshold            0.701 (was 0.5)" in done.stdout
    assert "; 0 of 2)" in done.stdout
    assert "; 1 of 1)" in done.stdout
    records = run("-m", "m.onnx", "-f", "csv", "a.png", "b.png", "c.png").stdout.splitlines()[1:]
    assert [line.split(",")[2] for line in records] == ['"safe"', '"safe"', '"flagged"']


@pytest.mark.slow
def test_only_the_run_of_a_model_has_its_held_out_images(
    run: Run, tmp_path: Path, trained: Trained
) -> None:
    shutil.copytree(trained.run, tmp_path / "other")
    facts = json.loads((tmp_path / "other" / "run.json").read_text())
    facts["metrics"]["loss"] /= 2
    for name in ("facts_sha256", "files_sha256"):  # version 0.1.0 has none
        del facts[name]
    (tmp_path / "other" / "run.json").write_text(json.dumps(facts))
    (tmp_path / "old").mkdir()
    shutil.copy(trained.run / "run.json", tmp_path / "old")
    shutil.copytree(trained.run, tmp_path / "one")
    lines = (trained.run / "held_out.csv").read_text().splitlines()
    ones = [line for line in lines if ",0," not in line]
    facts["metrics"]["loss"] *= 2
    (tmp_path / "one" / "run.json").write_text(json.dumps(facts))
    (tmp_path / "one" / "held_out.csv").write_text("\n".join(ones) + "\n")
    before = trained.model.read_bytes()
    for folder, why in (
        ("other", "the model is not that of other; convert this run again"),
        ("old", "old is not a finished training run with held_out.csv; train again, or give "),
        ("one", "there is no image of label 0 in one/held_out.csv; both labels are needed"),
        ("gone", "gone is not a finished training run with held_out.csv; train again, or give "),
    ):
        done = run(
            "calibrate", trained.model, "--run", folder, "--target-fpr", "0.1",
            program="nsfwexport",
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(f"nsfwexport: {why}")
    assert trained.model.read_bytes() == before


@pytest.mark.slow
def test_all_prints_a_table(run: Run, tmp_path: Path, trained: Trained) -> None:
    done = run("all", trained.run.parent, "-o", "models", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split()[0] == "b0"
    assert (tmp_path / "models" / "b0.onnx").exists()


@pytest.mark.slow
def test_the_commands_of_the_guide_lead_from_two_folders_to_a_scan(
    run: Run, tmp_path: Path, trained: Trained
) -> None:
    """Run the commands of docs/exporting.md in order, exactly as printed."""
    for row in trained.collection.split.read_text().splitlines()[1:]:
        object_id, value, _ = row.split(",")
        image = object_path(trained.collection.store, object_id)
        for folder in (Path("indecent" if value == "1" else "decent"), Path("photos", value)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(image, tmp_path / folder)
    shutil.copytree(trained.collection.backbone, tmp_path / "backbones" / "b0")
    blocks = all_blocks(ROOT / "docs" / "exporting.md")
    shown = [block for block in blocks if block.note.startswith("run by ")]
    commands, *later = [[shlex.split(line) for line in block.commands()] for block in shown]
    assert [words[1] for words in commands[3:]] == [
        "fit", "convert", "verify", "calibrate", "--model",
    ]  # fmt: skip
    done = {}
    for program, *arguments in commands:
        done[arguments[0]] = run(*arguments, program=program)
        assert done[arguments[0]].returncode == (program == "nsfwscan")
    for program, *arguments in itertools.chain.from_iterable(later):
        assert run(*arguments, program=program).returncode == 0, arguments
    assert "if 1.00% of all files are indecent, " in done["calibrate"].stdout
    threshold = float(done["calibrate"].stdout.split()[1])
    assert f"flagging as indecent from score {threshold:g} on" in done["--model"].stderr
    # The file needs no other file next to it.
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "b0.onnx", alone / "m.onnx")
    scanned = run("--model", "m.onnx", "--format", "jsonl", "../photos", cwd=alone)
    records = [json.loads(line) for line in scanned.stdout.splitlines()]
    assert {record["threshold"] for record in records} == {threshold}
    flagged = [Path(r["path"]).parent.name for r in records if r["status"] == "flagged"]
    assert flagged.count("1") > 3 * flagged.count("0")
    lineage = run("model", "m.onnx", cwd=alone).stdout
    for word in (
        "split_sha256",
        "metrics",
        "parity",
        "tf2onnx",
        "chosen for a false-positive rate of at most 0.05",
    ):
        assert word in lineage


ABSENT = ("tensorflow", "tf_keras", "tf2onnx", "scipy", "onnx", "sklearn", "matplotlib")


@pytest.mark.slow
def test_without_tensorflow_help_works_and_commands_print_the_install_command(
    tmp_path: Path, trained: Trained
) -> None:
    (tmp_path / "l.csv").write_text("path,label\n")
    for arguments, needed in (
        (["--help"], None),
        (["convert", trained.run, "-o", "m.onnx"], "onnx"),
        (["verify", trained.model, trained.run], "onnx"),
        (["half", trained.model, "-o", "m.onnx"], "onnx"),
        (["quantize", trained.model, "--weights-only", "-o", "m.onnx"], "onnx"),
        (["compare", trained.model, "--labels", "l.csv"], "onnx"),
        (["calibrate", trained.model, "--labels", "l.csv", "--target-fpr", "0.1"], "scipy"),
        (["all", trained.run.parent, "-o", "models"], "onnx"),
        (["check", trained.model], "onnx"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", lacking("nsfwexport", *ABSENT), *arguments],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        if needed is None:
            assert (done.returncode, done.stderr) == (0, "")
        else:
            assert done.returncode == 2
            assert done.stderr == (
                f"nsfwexport: this needs {needed}, which is not installed: "
                'pip install "nsfwscan[export]"\n'
            )
