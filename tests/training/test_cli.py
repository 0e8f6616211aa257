import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from conftest import Run
from helpers import lacking
from labelled import Collection
from PIL import Image

from nsfwtrain.data.split import split
from nsfwtrain.data.tables import by_hash, label_frame, read_split, write_table
from nsfwtrain.run.lock import held
from nsfwtrain.variants import VARIANTS


def test_variants_are_listed(run: Run) -> None:
    done = run("variants", program="nsfwtrain")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in VARIANTS]
    assert "4,050,845" in lines[1]


def labels_of(count: int) -> list[tuple[str, int]]:
    """Label random hashes: a third 0, two thirds 1."""
    ids = [hashlib.sha1(str(i).encode()).hexdigest() + ".jpg" for i in range(count)]
    return [(name, int(i % 3 > 0)) for i, name in enumerate(ids)]


def test_split_writes_the_file_and_prints_the_counts(run: Run, tmp_path: Path) -> None:
    labels = label_frame(labels_of(2000))
    write_table(tmp_path / "label.csv", labels)
    done = run("split", "label.csv", "-o", "split.csv", program="nsfwtrain")
    assert done.returncode == 0
    assert done.stderr == (
        "nsfwtrain: label.csv is not in hash order; validation and test may not be a fair sample "
        "if its rows keep the order of files; split with --order hash\n"
    )
    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert table["test"][0] == table["test"][1]
    assert table["total"] == ["667", "1,333", "2,000"]
    assert read_split(tmp_path / "split.csv").equals(split(labels))
    fair = run(
        "split", "label.csv", "-o", "fair.csv", "--order", "hash", program="nsfwtrain"
    )  # fmt: skip
    assert (fair.returncode, fair.stderr, fair.stdout) == (0, "", done.stdout)
    assert read_split(tmp_path / "fair.csv").equals(split(by_hash(labels)))


def test_too_few_images_are_not_split(run: Run, tmp_path: Path) -> None:
    write_table(tmp_path / "label.csv", by_hash(label_frame(labels_of(6))))
    done = run("split", "label.csv", "-o", "split.csv", program="nsfwtrain")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nsfwtrain: too few images to train and evaluate: ")
    assert done.stderr.endswith(
        "2 of label 0 and 4 of label 1 in all; add images of label 0 and split again\n"
    )
    assert not (tmp_path / "split.csv").exists()


def test_bad_labels_are_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "label.csv").write_text("objectId,value\nx,1\n")
    done = run("split", "label.csv", "-o", "split.csv", program="nsfwtrain")
    assert done.returncode == 2
    assert done.stderr.startswith("nsfwtrain: label.csv, line 2: 'x' is not an object ID")
    assert not (tmp_path / "split.csv").exists()


def test_folders_are_imported_split_and_linked(run: Run, tmp_path: Path) -> None:
    def train(*arguments: str) -> CompletedProcess[str]:
        return run(*arguments, program="nsfwtrain")

    for label in (0, 1):
        folder = tmp_path / str(label)
        folder.mkdir()
        for i in range(40):
            Image.new("RGB", (9, 9), (i * 6, label * 200, 0)).save(folder / f"{i}.png")
        (folder / "fake.png").write_text("no image")
        done = train("import", str(label), "--store", "store", "--label", str(label))
        assert done.returncode == 1
        assert "added: 40\n" in done.stdout
        assert "unusable, left out: 1\n" in done.stdout
    sound = train("audit", "store")
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "missing objects: 0\n" in sound.stdout
    train("split", "store/label.csv", "-o", "split.csv")
    again = train("split", "store/label.csv", "-o", "again.csv", "--previous", "split.csv")
    assert "rows that changed their part: 0\n" in again.stdout
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "split.csv").read_text()
    linked = train("link", "split.csv", "--store", "store", "-o", "links")
    assert linked.stdout == "80 links in links\n"
    conflict = train("import", "0", "--store", "store", "--label", "1")
    assert conflict.returncode == 1
    assert "under the other label, left as they are: 40\n" in conflict.stdout
    origin = tmp_path / "0" / "7.png"
    assert f"  0/7.png: already imported from {origin} as label 0 (decent)\n" in conflict.stdout


def test_labels_have_names(run: Run, tmp_path: Path) -> None:
    def train(*arguments: str) -> CompletedProcess[str]:
        return run("import", *arguments, "--store", "store", program="nsfwtrain")

    for i, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), (i, 0, 0)).save(tmp_path / "photos" / name / "a.png")
    refused = train("photos", "--by-folder")
    assert (refused.returncode, refused.stdout) == (2, "")
    command = "nsfwtrain import photos --store store --by-folder --labels cat,dog"
    assert f"; use: {command} (label 1" in refused.stderr
    assert not (tmp_path / "store").exists()
    done = train(*command.split()[2:3], "--by-folder", "--labels", "cat,dog")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("added: 2\n")
    other = train("photos", "--by-folder", "--labels", "dog,cat")
    assert other.returncode == 2
    assert other.stderr.startswith("nsfwtrain: the labels of store are cat,dog, not dog,cat; use")
    (tmp_path / "list.csv").write_text("file,class\nphotos/dog/a.png,cat\nlist.csv,dog\n")
    conflict = train("list.csv")
    assert conflict.returncode == 1
    path = tmp_path / "photos" / "dog" / "a.png"
    assert f"photos/dog/a.png: already imported from {path} as label 1 (dog)" in conflict.stdout
    assert "unusable, left out: 1\n  list.csv: " in conflict.stdout


def test_an_import_without_images_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("text")
    done = run("import", "in", "--store", "store", "--label", "0", program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "nsfwtrain: in has no images\n")
    assert "skipped: 1 text file\n" in done.stdout


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
    assert not (tmp_path / "run" / "begun.json").exists()
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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--help", 0),
        ("variants", 0),
        ("fit b0 --store s --split f --out r", 2),
        ("evaluate r --store s --split f", 2),
        ("report runs", 2),
    ],
)
def test_without_tensorflow_commands_say_what_to_install(
    tmp_path: Path, arguments: str, code: int
) -> None:
    absent = ("tensorflow", "tf_keras", "tensorflow_hub", "matplotlib", "pandas", "sklearn")
    done = subprocess.run(
        [sys.executable, "-c", lacking("nsfwtrain", *absent), *arguments.split()],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == code
    message = re.fullmatch(
        r'nsfwtrain: this needs (\w+), which is not installed: pip install "nsfwscan\[train\]"\n',
        done.stderr,
    )
    assert message[1] in absent if message else (code, done.stderr) == (0, "")
