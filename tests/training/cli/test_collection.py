import hashlib
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from conftest import Run
from PIL import Image

from nsfwtrain.data.split import split
from nsfwtrain.data.tables import by_hash, label_frame, read_split, write_table


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


@pytest.mark.slow
def test_folders_are_imported_split_and_linked(run: Run, tmp_path: Path) -> None:
    def train(*arguments: str) -> CompletedProcess[str]:
        return run(*arguments, program="nsfwtrain")

    for label in (0, 1):
        folder = tmp_path / str(label)
        folder.mkdir()
        for i in range(40):
            pixels = np.random.default_rng([label, i]).integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_audit_says_what_to_do_with_near_duplicates(run: Run, tmp_path: Path) -> None:
    for label, size in ((0, 64), (1, 65)):
        (tmp_path / str(label)).mkdir()
        ramp = Image.linear_gradient("L").rotate(90).resize((size, size))
        ramp.save(tmp_path / str(label) / "a.png")
        run("import", str(label), "--store", "store", "--label", str(label), program="nsfwtrain")
    done = run("audit", "store", program="nsfwtrain")
    assert (done.returncode, done.stderr) == (1, "")
    heading, pair, advice, last = done.stdout.splitlines()[-4:]
    assert heading == "near-duplicates with different labels: 1"
    assert "label 0 (decent)" in pair
    assert "correct the wrong label in store/label.csv, or delete both rows there" in advice
    assert last == "near-duplicates with the same label in different parts of the split: 0"


def test_an_import_without_images_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("text")
    done = run("import", "in", "--store", "store", "--label", "0", program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "nsfwtrain: in has no images\n")
    assert "skipped: 1 text file\n" in done.stdout
