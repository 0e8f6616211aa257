"""Whole commands, through the installed console script."""

import re
import time
from pathlib import Path

import pytest
from caches import KEY, SCORE, altered
from conftest import Run
from helpers import mean_model
from PIL import Image

from nsfwscan import Cache, Manifest, Preprocess


@pytest.fixture
def scanned(run: Run, tmp_path: Path) -> tuple[str, ...]:
    """Run a scan, and return its command."""
    mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    for level in (10, 90):
        Image.new("RGB", (30, 20), (level, 0, 0)).save(tmp_path / f"{level}.png")
    command = ("10.png", "90.png", "-m", "m.onnx")
    assert run(*command).returncode == 0
    return command


@pytest.mark.slow
def test_info_prints_the_place_and_the_contents(
    run: Run, tmp_path: Path, scanned: tuple[str, ...]
) -> None:
    place = tmp_path / "mine.sqlite"
    run(*scanned, "--cache", place)
    for lines in (run("cache", "info").stdout, run("cache", "info", "--cache", place).stdout):
        assert "2 by model " in lines
    assert str(place) in lines


def test_clear_deletes_the_cache(run: Run, scanned: tuple[str, ...]) -> None:
    del scanned
    assert run("cache", "clear").stdout.startswith("deleted ")
    assert "there is no cache yet" in run("cache", "info").stdout
    done = run("cache", "clear")
    assert done.returncode == 0
    assert done.stdout.startswith("there is no cache at ")


@pytest.mark.slow
def test_prune_says_what_it_dropped_and_kept(
    run: Run, tmp_path: Path, scanned: tuple[str, ...]
) -> None:
    time.sleep(2.1)  # else the files would be too young for their stamps to be stored
    run(*scanned, "--cache", "mine.sqlite")
    kept = run("cache", "prune", "--cache", "mine.sqlite")
    assert re.fullmatch(
        "file      mine.sqlite\n"
        "dropped   files that no longer exist: 0; scores: 0\n"
        r"size      0\.\d MB before, 0\.\d MB after\n",
        kept.stdout,
    )
    unknown = "INSERT INTO file SELECT x'00', '', sha256, sha1, NULL, 0 FROM file LIMIT 1"
    altered(tmp_path / "mine.sqlite", unknown)
    (tmp_path / "10.png").unlink()
    (tmp_path / "90.png").unlink()
    pruned = run("cache", "prune", "--cache", "mine.sqlite")
    assert "dropped   files that no longer exist: 2; scores: 1\n" in pruned.stdout
    assert "kept      files whose folder is not known before a scan: 1\n" in pruned.stdout
    assert (pruned.returncode, pruned.stderr) == (0, "")
    assert "1 by model " in run("cache", "info", "--cache", "mine.sqlite").stdout


def test_prune_of_no_cache_creates_none(run: Run, tmp_path: Path) -> None:
    done = run("cache", "prune", "--cache", "none.sqlite")
    assert (done.returncode, done.stdout) == (0, "there is no cache at none.sqlite\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_scan_keeps_its_cache_below_the_limit(
    run: Run, tmp_path: Path, scanned: tuple[str, ...]
) -> None:
    cache = tmp_path / "mine.sqlite"
    with Cache(cache) as filled:
        filled.store([(f"{i:064x}", SCORE) for i in range(20_000)], KEY)
    assert run(*scanned, "--cache", cache).returncode == 0
    assert cache.stat().st_size > 2_000_000
    (tmp_path / "10.png").write_bytes((tmp_path / "10.png").read_bytes() + b"new")
    (tmp_path / "nsfwscan.toml").write_text("max-cache-size = 1100000\n")
    run(*scanned, "--cache", cache)
    assert cache.stat().st_size <= 1_100_000
    refused = run(*scanned, "--max-cache-size", "1000")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--max-cache-size" in refused.stderr


@pytest.mark.slow
def test_the_options_file_selects_the_cache(
    run: Run, tmp_path: Path, scanned: tuple[str, ...]
) -> None:
    (tmp_path / "nsfwscan.toml").write_text('cache = "mine.sqlite"\n')
    run(*scanned)
    assert "mine.sqlite" in run("cache", "info").stdout
    assert "mine.sqlite" in run("cache", "prune").stdout
    assert run("cache", "clear").stdout == "deleted mine.sqlite\n"
    assert not (tmp_path / "mine.sqlite").exists()
