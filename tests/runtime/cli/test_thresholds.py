"""Thresholds on the command line, through the installed console script."""

import json
from pathlib import Path

import pytest
from conftest import Run
from helpers import mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess
from nsfwscan.inference.operating import OperatingPoint

POINTS = (
    OperatingPoint(threshold=0.2, name="sensitive", recall=0.9, measured_on="reds", by="us"),
    OperatingPoint(threshold=0.8, name="strict", recall=0.9, measured_on="reds", by="us"),
)
REDS = {"a": 0.1, "b": 0.4, "c": 0.7, "d": 1.0}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, red in REDS.items():
        Image.new("RGB", (8, 8), (round(255 * red), 0, 0)).save(folder / f"{name}.png")
    ours = Manifest(
        name="redness", preprocess=Preprocess(size=8), threshold=0.5, threshold_choice="by hand",
        operating_points=POINTS,
    )  # fmt: skip
    mean_model(tmp_path / "m.onnx", ours)
    return folder


def scanned(run: Run, *options: str) -> tuple[str, str, list[str]]:
    """Give the letters of flagged and of uncertain images, and the lines on standard error."""
    done = run("photos", "-m", "m.onnx", "-f", "jsonl", "--exit-zero", *options)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    for record in records:
        assert record["uncertain"] is False or record["status"] == "flagged"
    names = {
        status: "".join(Path(one["path"]).stem for one in records if one[status] in values)
        for status, values in (("status", {"flagged"}), ("uncertain", {True}))
    }
    return names["status"], names["uncertain"], done.stderr.splitlines()


@pytest.mark.parametrize(
    ("options", "flagged", "uncertain", "said"),
    [
        ([], "cd", "", "from score 0.5 on (its own: by hand)"),
        (["-t", "strict"], "d", "", "from score 0.8 on (its strict point)"),
        (["-t", "sensitive"], "bcd", "", "from score 0.2 on (its sensitive point)"),
        (["-t", "0.3"], "bcd", "", "from score 0.3 on (--threshold)"),
        (["--review-band", "0.3:0.9"], "bcd", "bc", "from score 0.3 on (--review-band)"),
        (["--review-band", "sensitive:strict"], "bcd", "bc", "from score 0.2 on ("),
        (["--review-band", "0:1"], "abcd", "abc", "from score 0.0 on ("),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_number_a_name_or_a_band(
    run: Run, photos: Path, options: list[str], flagged: str, uncertain: str, said: str
) -> None:
    found = scanned(run, *options)
    assert found[:2] == (flagged, uncertain)
    assert said in found[2][0]
    counted = f" {len(flagged)} flagged ({len(uncertain)} uncertain), "
    assert counted.replace(" (0 uncertain)", "") in found[2][-1]


def test_the_text_marks_what_is_uncertain(run: Run, photos: Path) -> None:
    done = run("photos", "-m", "m.onnx", "--review-band", "0.5:0.9", "-q")
    assert done.stdout == (
        "flagged  1.000  photos/d.png\nflagged  0.698  photos/c.png  (uncertain)\n"
    )


def test_an_allowed_image_is_not_uncertain(run: Run, photos: Path) -> None:
    assert run("allow", "photos/c.png", "--reason", "a wall").returncode == 0
    band = ("--review-band", "0.5:0.9", "--allow", "nsfwscan-allow.txt")
    assert scanned(run, *band)[:2] == ("d", "")


@pytest.mark.slow
def test_the_nearer_source_sets_the_threshold(run: Run, photos: Path) -> None:
    file = photos.parent / "nsfwscan.toml"
    file.write_text('threshold = "strict"\n')
    assert scanned(run)[0] == "d"
    assert scanned(run, "--review-band", "0:1")[:2] == ("abcd", "abc")
    file.write_text('review-band = "0:1"\n')
    assert scanned(run)[:2] == ("abcd", "abc")
    assert scanned(run, "-t", "strict")[:2] == ("d", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-t", "balanced"], "has no threshold called 'balanced'; give a number from 0 to 1, or"),
        (["-t", "high"], "'high' is neither a number from 0 to 1 nor one of sensitive, balanced,"),
        (["-t", "nan"], "'nan' is neither a number from 0 to 1 nor one of"),
        (["-t", "-0.1"], "'-0.1' is neither a number from 0 to 1 nor one of"),
        (["--review-band", "0.5"], "'0.5' is no band; write two scores such as 0.2:0.8"),
        (["--review-band", "0.5:2"], "'2' is neither a number from 0 to 1 nor one of"),
        (["--review-band", "strict:0.5"], "--review-band 0.8:0.5 is empty; give the lower score"),
        (["-t", "0.1", "--review-band", "0:1"], "sets the threshold to LOW; omit one"),
    ],
)  # fmt: skip
def test_wrong_thresholds_are_one_sentence(
    run: Run, photos: Path, options: list[str], said: str
) -> None:
    done = run("photos", "-m", "m.onnx", "-q", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]


def test_the_model_lists_its_thresholds(run: Run, photos: Path) -> None:
    done = run("model", "m.onnx")
    assert done.returncode == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "sensitive 0.2 90 % ? ? ? reds us" in lines
    assert "strict 0.8 90 % ? ? ? reds us" in lines
    shown = run("model", "m.onnx", "--card").stdout
    assert shown.startswith("# redness\n")
    assert "| strict | 0.8 | 90 % |" in shown
