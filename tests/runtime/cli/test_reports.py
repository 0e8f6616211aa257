"""Whole commands, through the installed console script: the reports for readers and code hosts."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from conftest import Run
from helpers import lacking, mean_model
from PIL import Image
from runtime.reports.test_html import Page
from runtime.reports.test_sarif import OFFICIAL

from nsfwscan import Manifest, Preprocess

NAME = "caf\udce9 <b onclick=x>.png"
SCAN = ("photos", "-m", "m.onnx", "--no-cache", "-q")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path) -> Path:
    ours = Manifest(name="redness", preprocess=Preprocess(size=8), threshold=0.6)
    mean_model(tmp_path / "m.onnx", ours)
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (30, 20), (255, 0, 0)).save(folder / "red.png")
    (folder / "red.png").rename(folder / NAME)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    return folder


def test_a_page_shows_findings_errors_and_settings(run: Run, tmp_path: Path) -> None:
    done = run(*SCAN, "--format", "html", "--output", "report.html", "--frames", "7")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.texts("h1") == ["1 image is flagged, and 1 could not be scored"]
    assert page.texts("bdi") == [
        "photos", "photos/caf\\xe9 <b onclick=x>.png", "photos/broken.jpg",
    ]  # fmt: skip
    facts = page.texts("dd")
    assert facts[facts.index("redness") :][:2] == ["redness", "0.6"]
    assert "7" in facts


def test_a_page_needs_an_extra(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", lacking("nsfwscan", "jinja2"), *SCAN, "-f", "html", "-o", "r"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        'nsfwscan: this needs jinja2, which is not installed: pip install "nsfwscan[review]"\n'
    )
    assert not (tmp_path / "r").exists()


def test_sarif_is_valid_and_selected_in_the_options_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nsfwscan.toml").write_text('format = "sarif"\n')
    done = run(*SCAN)
    assert done.returncode == 2
    log = json.loads(done.stdout)
    jsonschema.Draft4Validator(OFFICIAL).validate(log)
    found = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: one["ruleId"]
        for one in log["runs"][0]["results"]
    }
    assert found == {
        "photos/broken.jpg": "corrupt",
        "photos/caf%E9%20%3Cb%20onclick%3Dx%3E.png": "flagged",
    }
