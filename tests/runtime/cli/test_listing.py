"""Whole commands, through the installed console script: tables of files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from helpers import lacking, mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess
from nsfwscan.sources.tables import ENDINGS

NAME = "caf\udce9.png"
SCAN = ("-m", "m.onnx", "--no-cache", "-q", "-f", "jsonl")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path) -> Path:
    mean_model(tmp_path / "m.onnx", Manifest(name="redness", preprocess=Preprocess(size=8)))
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (20, 20)).save(folder / f"{name}.png")
    (folder / "b.png").rename(folder / NAME)
    (folder / "gone.png").symlink_to("nowhere")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def paths(output: str) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in output.splitlines()]
    return [(one["path"], one["status"]) for one in found]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_scan_of_a_list_finds_what_a_scan_of_the_folder_finds(run: Run, ending: str) -> None:
    listed = run("list", "photos", "-o", f"list{ending}")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert listed.stderr == (
        "3 listed, 1 skipped; 1 cannot be looked at, and a scan will say why\n"
    )
    found = paths(run("--files-from", f"list{ending}", *SCAN).stdout)
    assert found == paths(run("photos", *SCAN).stdout)
    assert found[1:] == [(f"photos/{NAME}", "safe"), ("photos/gone.png", "error")]


def test_the_options_that_select_files_apply(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nsfwscan.toml").write_text("hidden = true\nthreshold = 0.5\n")
    assert run("list", "photos", "-g", "!gone.*", "-o", "l.csv").stderr == "3 listed, 1 skipped\n"
    lines = (tmp_path / "l.csv").read_text().splitlines()
    assert lines[1].startswith("photos/.hidden.png,0,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "l.csv"), "name files or folders, or give --files-from"),
        (("-", "-o", "l.csv"), "an image on standard input (-) has no path to list"),
        (("photos", "-o", "l.txt"), "its name ends in none of .parquet, .csv, .jsonl"),
        (("--files-from", "l.csv", "-o", "l.csv"), "l.csv is an input; name another file"),
        (("--files-from", "l.csv", "--null", "-o", "m.csv"), "l.csv is a table"),
    ],
)
def test_wrong_usage_is_one_sentence(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "l.csv").write_text("path\nphotos/a.png\n")
    done = run("list", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert (tmp_path / "l.csv").read_text() == "path\nphotos/a.png\n"


def test_a_table_that_is_none_ends_the_scan(run: Run, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("name\nphotos/a.png\n")
    done = run("--files-from", "l.csv", *SCAN)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "nsfwscan: the list l.csv has no column path, location, url, file, key or Key, but name; "
        "rename the one of the paths\n"
    )


def test_parquet_needs_an_extra(tmp_path: Path) -> None:
    for arguments in (["list", "photos", "-o", "l.parquet"], ["--files-from", "r.parquet", *SCAN]):
        (tmp_path / "r.parquet").write_bytes(b"PAR1")
        done = subprocess.run(
            [sys.executable, "-c", lacking("nsfwscan", "pyarrow"), *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.endswith('not installed: pip install "nsfwscan[parquet]"\n')
        assert not (tmp_path / "l.parquet").exists()
