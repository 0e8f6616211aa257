import hashlib
import json
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

from nsfwtrain.variants import VARIANTS


def test_variants_are_listed(run: Run) -> None:
    done = run("variants", program="nsfwtrain")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in VARIANTS]
    assert "4,050,845" in lines[1]


def test_split_writes_the_file_and_prints_the_counts(run: Run, tmp_path: Path) -> None:
    ids = [hashlib.sha1(str(i).encode()).hexdigest() + ".jpg" for i in range(2000)]
    rows = [f"{name},{int(i % 3 > 0)}" for i, name in enumerate(ids)]
    (tmp_path / "label.csv").write_text("\n".join(["objectId,value", *rows]) + "\n")
    done = run("split", "label.csv", "-o", "split.csv", program="nsfwtrain")
    assert done.returncode == 0, done.stderr
    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert table["test"][0] == table["test"][1]
    assert table["total"] == ["667", "1,333", "2,000"]
    assert len((tmp_path / "split.csv").read_text().splitlines()) == 2001


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
        for i in range(20):
            Image.new("RGB", (9, 9), (i * 10, label * 200, 0)).save(folder / f"{i}.png")
        (folder / "fake.png").write_text("no image")
        done = train("import", str(label), "--store", "store", "--label", str(label))
        assert done.returncode == 1
        assert "added: 20\n" in done.stdout
        assert "unusable, left out: 1\n" in done.stdout
    sound = train("audit", "store")
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "missing objects: 0\n" in sound.stdout
    train("split", "store/label.csv", "-o", "split.csv")
    again = train("split", "store/label.csv", "-o", "again.csv", "--previous", "split.csv")
    assert "rows that changed their part: 0\n" in again.stdout
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "split.csv").read_text()
    linked = train("link", "split.csv", "--store", "store", "-o", "links")
    assert linked.stdout == "40 links in links\n"
    conflict = train("import", "0", "--store", "store", "--label", "1")
    assert conflict.returncode == 1
    assert "under the other label, left as they are: 20\n" in conflict.stdout


@pytest.mark.slow
def test_a_model_is_trained_from_the_command_line(
    run: Run, tmp_path: Path, collection: Collection
) -> None:
    arguments = [
        "fit", "b0", "--store", collection.store, "--split", collection.split, "--out", "run",
        "--backbone", collection.backbone, "--cache", tmp_path / "cache", "--batch-size", "32",
    ]  # fmt: skip
    done = run(*arguments, "--epochs", "2", program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epoch 1 of 2: loss 0.")
    assert lines[-1].startswith("test: loss 0.")
    evaluated = run("evaluate", "run", *arguments[2:6], "--cache", "cache", program="nsfwtrain")
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    trained = json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]
    assert f"roc auc              {trained['roc_auc']:.4f}\n" in evaluated.stdout
    again = run(*arguments, program="nsfwtrain")
    assert again.returncode == 2
    assert again.stderr.startswith("nsfwtrain: run holds a run already; continue it with --resume")
    unknown = run("fit", "b9", *arguments[2:], program="nsfwtrain")
    assert unknown.stderr.startswith("nsfwtrain: there is no variant 'b9'; there are b0, b1")


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
