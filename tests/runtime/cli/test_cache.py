"""Whole commands, through the installed console script."""

from pathlib import Path

import pytest
from conftest import Run
from helpers import mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess


@pytest.fixture
def scanned(run: Run, tmp_path: Path) -> tuple[str, ...]:
    """Run a scan, and return its command."""
    mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    for level in (10, 90):
        Image.new("RGB", (30, 20), (level, 0, 0)).save(tmp_path / f"{level}.png")
    command = ("10.png", "90.png", "-m", "m.onnx")
    assert run(*command).returncode == 0
    return command


def test_info_prints_the_place_and_the_contents(
    run: Run, tmp_path: Path, scanned: tuple[str, ...]
) -> None:
    place = tmp_path / "mine.sqlite"
    run(*scanned, "--cache", place)
    for lines in (run("cache", "info").stdout, run("cache", "info", "--cache", place).stdout):
        assert "2 by the model" in lines
    assert str(place) in lines


def test_clear_deletes_the_cache(run: Run, scanned: tuple[str, ...]) -> None:
    del scanned
    assert run("cache", "clear").stdout.startswith("deleted ")
    assert "there is no cache yet" in run("cache", "info").stdout
    done = run("cache", "clear")
    assert done.returncode == 0
    assert done.stdout.startswith("there is no cache at ")


def test_the_options_file_selects_the_cache(
    run: Run, tmp_path: Path, scanned: tuple[str, ...]
) -> None:
    (tmp_path / "nsfwscan.toml").write_text('cache = "mine.sqlite"\n')
    run(*scanned)
    assert "mine.sqlite" in run("cache", "info").stdout
    assert run("cache", "clear").stdout == "deleted mine.sqlite\n"
    assert not (tmp_path / "mine.sqlite").exists()
