import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import Run
from helpers import encoded, load_photo, mean_model

from nsfwscan import Manifest, Preprocess


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos in the current folder of `run`, and a model that scores their redness."""
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(
            encoded(load_photo(f"{name}.png"), "JPEG")
        )
    mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    return tmp_path / "photos"


def rows(page: Path) -> list[list[object]]:
    text = page.read_text().partition('id="items">')[2].partition("</script>")[0]
    found: list[list[object]] = json.loads(text)
    return found


def test_a_scan_and_a_review_at_once(run: Run, photos: Path) -> None:
    home = photos.parent
    done = run("photos", "-m", "m.onnx", "--exit-zero", "--threshold", "0.1", "--review", "review")
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "nsfwscan: the review is review/index.html"
    assert sorted(path.name for path in (home / "review").iterdir()) == [
        ".nsfwscanignore", "index.html", "results.jsonl", "thumbnails",
    ]  # fmt: skip
    page = home / "review" / "index.html"
    assert [row[0] for row in rows(page)] == ["photos/astronaut.jpg", "photos/coffee.jpg"]
    assert [row[17] for row in rows(page)] == [
        "./../photos/astronaut.jpg",
        "./../photos/coffee.jpg",
    ]
    # Made again from its results, it is the same.
    before = page.read_text()
    page.unlink()
    done = run("review", "review/results.jsonl", "-o", "review")
    assert (done.returncode, done.stdout) == (0, "review/index.html\n")
    assert page.read_text() == before
    # A later scan of the folder around it finds only the photos.
    done = run(".", "-m", "m.onnx", "--exit-zero", "-f", "jsonl")
    assert len(done.stdout.splitlines()) == 2


def test_thumbnails_that_exist_are_not_made_again(run: Run, photos: Path) -> None:
    home = photos.parent
    run("photos", "-m", "m.onnx", "--threshold", "0", "--review", "review", "--exit-zero")
    first, second = sorted((home / "review" / "thumbnails").rglob("*.jpg"))
    content = first.read_bytes()
    shutil.copy(second, first)
    (home / "review" / "index.html").unlink()
    run("review", "review/results.jsonl", "-o", "review")
    assert first.read_bytes() == second.read_bytes()
    first.write_bytes(b"")  # as after a crash of the machine
    run("review", "review/results.jsonl", "-o", "review")
    assert first.read_bytes() == content


def test_files_that_changed_or_are_gone_have_no_thumbnail(run: Run, photos: Path) -> None:
    run("photos", "-m", "m.onnx", "-f", "jsonl", "-o", "r.jsonl", "--threshold", "0")
    (photos / "astronaut.jpg").write_bytes((photos / "coffee.jpg").read_bytes())
    (photos / "coffee.jpg").unlink()
    done = run("review", "r.jsonl", "-o", "review")
    assert (done.returncode, done.stderr) == (
        0,
        "nsfwscan: 1 of the 2 images are not there, such as photos/coffee.jpg\n",
    )
    assert [row[15:17] for row in rows(photos.parent / "review" / "index.html")] == [
        [None, "changed since the scan"],
        [None, "no such file or folder"],
    ]


@pytest.mark.slow
def test_the_page_has_the_measured_thresholds_of_the_model(run: Run, photos: Path) -> None:
    run("photos", "-f", "jsonl", "-o", "known.jsonl", "--exit-zero")
    assert run("review", "known.jsonl", "-o", "known").returncode == 0
    said = '"points":[[0.327,0.932,0.068,'
    assert said in (photos.parent / "known" / "index.html").read_text().replace(" ", "")
    run("photos", "-m", "m.onnx", "-f", "jsonl", "-o", "other.jsonl", "--exit-zero")
    run("review", "other.jsonl", "-o", "other")
    assert '"points":[]' in (photos.parent / "other" / "index.html").read_text().replace(" ", "")


@pytest.mark.parametrize("name", ["index.html", "results.jsonl", ".nsfwscanignore", "x/y.csv"])
def test_a_report_does_not_lie_in_the_folder_of_the_review(
    run: Run, photos: Path, name: str
) -> None:
    (photos.parent / "review" / "x").mkdir(parents=True)
    done = run("photos", "-m", "m.onnx", "--review", "review", "-f", "csv", "-o", f"review/{name}")
    assert (done.returncode, done.stdout) == (2, "")
    said = f"nsfwscan: cannot write review/{name}: it lies in the folder of --review; name another "
    assert done.stderr.startswith(said)


@pytest.mark.slow
def test_only_safe_images_near_the_threshold_are_listed(run: Run, photos: Path) -> None:
    run("photos", "-m", "m.onnx", "-f", "jsonl", "-o", "r.jsonl", "--threshold", "1")
    page = photos.parent / "review" / "index.html"
    for options, listed in (([], 2), (["--min-score", "0.6"], 1), (["--min-score", "0.9"], 0)):
        run("review", "r.jsonl", "-o", "review", *options)
        assert len(rows(page)) == listed, options


@pytest.mark.slow
@pytest.mark.parametrize("output", [["new/review"], ["page.html", "--single-file"]])
def test_nothing_is_left_of_a_refused_review(run: Run, photos: Path, output: list[str]) -> None:
    home = photos.parent
    run("photos", "-m", "m.onnx", "-f", "jsonl", "-o", "r.jsonl", "-t", "0")
    run("photos", "-m", "m.onnx", "-f", "csv", "-o", "r.csv")
    (home / "broken.jsonl").write_text((home / "r.jsonl").read_text() + "broken\n")
    os.mkfifo(home / "pipe")
    before = sorted(home.iterdir())
    nowhere = (
        "none of the 2 images is there, such as photos/photos/astronaut.jpg; run this in the "
        "folder in which the scan ran, or name that folder with --base"
    )
    for arguments, message in (
        (["gone.jsonl"], "cannot read gone.jsonl: No such file"),
        (["photos"], "cannot read photos: Is a directory"),
        (["r.csv"], "r.csv, line 1: this is no record of a scan"),
        (["broken.jsonl"], "broken.jsonl, line 3: this is no record of a scan"),
        (["pipe"], "cannot read pipe: a review reads it twice; save it as a file"),
        (["r.jsonl", "--base", "photos"], f"nsfwscan: {nowhere}\n"),
    ):
        done = run("review", *arguments, "-o", *output)
        assert done.returncode == 2, arguments
        assert message in done.stderr, arguments
        assert len(done.stderr.splitlines()) == 1, arguments
        assert sorted(home.iterdir()) == before, arguments


def test_an_image_from_standard_input_is_not_missed(photos: Path, run: Run) -> None:
    image = (photos / "coffee.jpg").read_bytes()
    options = ["-m", "m.onnx", "--exit-zero", "-q", "-t", "0", "--review", "review"]
    done = run("-", *options, stdin=image.decode("utf-8", "surrogateescape"))
    assert (done.returncode, done.stderr) == (0, "")
    assert [row[0] for row in rows(photos.parent / "review" / "index.html")] == ["-"]


@pytest.mark.slow
def test_wrong_places_are_refused(run: Run, photos: Path) -> None:
    (photos.parent / "site").mkdir()
    (photos.parent / "site" / "index.html").touch()
    run("photos", "-m", "m.onnx", "-f", "jsonl", "-o", "r.jsonl")
    for arguments, message in (
        (["review", "r.jsonl", "-o", "photos"], "into photos: it is not empty; name another"),
        (["review", "r.jsonl", "-o", "m.onnx"], "cannot write m.onnx: it is a file; name a folder"),
        (["review", "r.jsonl", "-o", "r.jsonl", "--single-file"], "r.jsonl is an input"),
        (["review", "r.jsonl", "-o", "photos/coffee.jpg", "--single-file"], "it is an image"),
        (["review", "r.jsonl", "-o", "site"], "into site: it is not empty; name another"),
        (["photos", "-m", "m.onnx", "--review", "photos"], "into photos: it is not empty"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert message in done.stderr, arguments
        assert "Traceback" not in done.stderr
    assert not (photos / ".nsfwscanignore").exists()
