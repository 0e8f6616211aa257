import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from export.conftest import Trained
from helpers import mean_model

from nsfwscan import Manifest, Preprocess
from nsfwscan.modelfile import default_model_path

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def test_check_passes_a_model_of_ours(run: Run, tmp_path: Path) -> None:
    mean_model(tmp_path / "m.onnx", OURS)
    done = run("check", "m.onnx", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "m.onnx: one self-contained model file, as it should be\n"


def test_check_names_what_does_not_hold(run: Run) -> None:
    done = run("check", default_model_path(), program="nsfwexport")
    assert done.returncode == 1
    assert "the manifest is not embedded in the file but built in" in done.stdout


def test_what_is_no_model_is_one_sentence(run: Run) -> None:
    done = run("check", "gone.onnx", program="nsfwexport")
    assert done.returncode == 2
    assert done.stderr == "nsfwexport: cannot read the model gone.onnx: No such file or directory\n"


def test_convert_prints_the_comparison(run: Run, tmp_path: Path, trained: Trained) -> None:
    done = run("convert", trained.run, "-o", "m.onnx", "--format", "json", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [c["holds"] for c in report["comparisons"]] == [True, True]
    assert run("check", "m.onnx", program="nsfwexport").returncode == 0


def test_verify_is_exit_1_and_names_the_worst(run: Run, tmp_path: Path, trained: Trained) -> None:
    store = ["--store", trained.collection.store, "--split", trained.collection.split]
    fine = run("verify", trained.model, trained.run, *store, program="nsfwexport")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.count("yes\n") == 2
    strict = ["--max-difference", "0"]
    broken = run("verify", trained.model, trained.run, *store, *strict, program="nsfwexport")
    assert broken.returncode == 1
    first, *worst = broken.stderr.splitlines()
    assert "does not say what" in first
    assert len(worst) == 5
    assert all(line.startswith(f"  {trained.collection.store}") for line in worst)


def test_options_that_do_not_go_together(run: Run, trained: Trained) -> None:
    for arguments, sentence in (
        (["--store", "s"], "--store and --split go together"),
        (["--images", "i", "--store", "s", "--split", "f"], "not both"),
    ):
        done = run("verify", trained.model, trained.run, *arguments, program="nsfwexport")
        assert done.returncode == 2
        assert sentence in done.stderr
    for arguments, sentence in (
        (["--labels", "l.csv"], "--target-fpr, or --target-recall"),
        (["--target-fpr", "0.1"], "--store and --split, or --labels"),
        (["--labels", "l.csv", "--target-fpr", "1"], "must be between 0 and 1, got 1"),
    ):
        done = run("calibrate", trained.model, *arguments, program="nsfwexport")
        assert done.returncode == 2
        assert sentence in done.stderr


def test_all_ends_with_a_table(run: Run, tmp_path: Path, trained: Trained) -> None:
    done = run("all", trained.run.parent, "-o", "models", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split()[0] == "b0"
    assert (tmp_path / "models" / "b0.onnx").exists()


@pytest.mark.slow
def test_from_two_folders_to_a_scan_with_the_new_model(
    run: Run, tmp_path: Path, trained: Trained
) -> None:
    """The round trip of docs/exporting.md: the label of a picture is how red it is."""
    split = trained.collection.split.read_text().splitlines()[1:]
    for label, name in enumerate(("decent", "indecent")):
        (tmp_path / name).mkdir()
        for row in split:
            object_id, value, _ = row.split(",")
            if value == str(label):
                place = trained.collection.store / "object" / object_id[:2] / object_id[2:4]
                shutil.copy(place / object_id, tmp_path / name)
    shutil.copytree(trained.collection.backbone, tmp_path / "backbones" / "b0")
    store = ["--store", "store", "--split", "split.csv"]
    for program, *arguments in (
        ("nsfwtrain", "import", "decent/", "--store", "store", "--label", "0"),
        ("nsfwtrain", "import", "indecent/", "--store", "store", "--label", "1"),
        ("nsfwtrain", "split", "store/label.csv", "-o", "split.csv"),
        ("nsfwtrain", "fit", "b0", *store, "--out", "runs/b0", "--backbone", "backbones/b0",
         "--batch-size", "32", "--epochs", "15"),
        ("nsfwexport", "convert", "runs/b0", "-o", "b0.onnx"),
        ("nsfwexport", "verify", "b0.onnx", "runs/b0", *store),
        ("nsfwexport", "calibrate", "b0.onnx", *store, "--target-fpr", "0.1",
         "--prevalence", "0.01"),
    ):  # fmt: skip
        done = run(*arguments, program=program)
        assert done.returncode == 0, done.stderr
    assert "where 1.00% of all files are indecent, " in done.stdout
    threshold = float(done.stdout.split()[1])
    # Alone, on a machine that has only the scanner, as far as the files go.
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "b0.onnx", alone / "m.onnx")
    scanned = run("--model", "m.onnx", "--format", "jsonl", "../indecent", cwd=alone)
    records = [json.loads(line) for line in scanned.stdout.splitlines()]
    assert scanned.returncode == 1
    assert f"flagging scores from {threshold:g} on" in scanned.stderr
    assert all(record["threshold"] == threshold for record in records)
    flagged = sum(record["status"] == "flagged" for record in records)
    assert flagged > len(records) / 2
    lineage = run("model", "m.onnx", cwd=alone).stdout
    for word in ("split_sha256", "metrics", "parity", "tf2onnx", "chosen for at most 0.1 false"):
        assert word in lineage


def test_without_tensorflow_the_help_works_and_commands_say_what_to_install(
    tmp_path: Path, trained: Trained
) -> None:
    """A path hook hides the package as if it were not installed."""
    code = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in "
        "{'tensorflow', 'tf_keras', 'tf2onnx', 'scipy', 'onnx'}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from nsfwexport.cli import main\n"
        "main()\n"
    )
    (tmp_path / "l.csv").write_text("path,label\n")
    for arguments, needed in (
        (["--help"], None),
        (["convert", trained.run, "-o", "m.onnx"], "tensorflow"),
        (["verify", trained.model, trained.run], "tensorflow"),
        (["half", trained.model, "-o", "m.onnx"], "onnx"),
        (["calibrate", trained.model, "--labels", "l.csv", "--target-fpr", "0.1"], "scipy"),
        (["all", trained.run.parent, "-o", "models"], "onnx"),
        (["check", trained.model], "onnx"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        if needed is None:
            assert (done.returncode, done.stderr) == (0, "")
        else:
            assert done.returncode == 2
            assert done.stderr == (
                f"nsfwexport: nsfwexport {arguments[0]} needs {needed}, which is not installed: "
                'pip install "nsfwscan[cpu,export]"\n'
            )
