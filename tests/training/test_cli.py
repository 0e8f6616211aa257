import hashlib
from pathlib import Path

from conftest import Run

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
    assert done.stderr.startswith("nsfwtrain: label.csv, line 2: 'x' is no object ID")
    assert not (tmp_path / "split.csv").exists()
