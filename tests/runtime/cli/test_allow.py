"""Whole commands, through the installed console script."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import Run
from helpers import mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess
from nsfwscan.review.allowlist import read_allow_list

TODAY = datetime.now(UTC).date()
LIST = "nsfwscan-allow.txt"
SCAN = ("photos", "-m", "m.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make two red images, a dark one and a broken one, and the model."""
    ours = Manifest(name="redness", preprocess=Preprocess(size=8), threshold=0.6)
    mean_model(tmp_path / "m.onnx", ours)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, level in (("red", 255), ("reddish", 200), ("dark", 20)):
        Image.new("RGB", (30, 20), (level, 0, 0)).save(folder / f"{name}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    return folder


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_allowed_images_are_safe_with_a_reason(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("allow", "photos/red.png", "photos/dark.png", "--reason", "a  statue")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{LIST}: 2 added, 0 changed, 0 as before\n"
    before = (tmp_path / LIST).read_bytes()
    done = run("allow", "photos/red.png", "--reason", "a statue")
    assert done.stdout == f"{LIST}: 0 added, 0 changed, 1 as before\n"
    assert (tmp_path / LIST).read_bytes() == before
    for _ in ("scored", "cached"):
        lines = run(*SCAN, "--allow", LIST, "-f", "jsonl").stdout.splitlines()
        records = {Path(one["path"]).stem: one for one in map(json.loads, lines)}
        assert {name: (one["status"], one["allowed"]) for name, one in records.items()} == {
            "red": ("safe", "a statue"),
            "reddish": ("flagged", None),
            "dark": ("safe", None),  # by its score
            "broken": ("error", None),
        }
        assert records["red"]["score"] == 1
    (photos / "broken.jpg").unlink()
    (photos / "reddish.png").unlink()
    done = run(*SCAN, "--allow", LIST, "--show-allowed")
    assert done.returncode == 0
    assert "allowed  1.000  photos/red.png: a statue\n" in done.stdout
    assert "2 found: 2 safe (1 allowed), 0 flagged" in done.stdout


def test_an_error_is_never_allowed(run: Run, photos: Path) -> None:
    run("allow", "photos/broken.jpg", "--reason", "looked at it")
    done = run("photos/broken.jpg", "-m", "m.onnx", "--allow", LIST)
    assert done.returncode == 2
    assert "error    corrupt  photos/broken.jpg" in done.stdout


@pytest.mark.slow
def test_an_expired_entry_is_told(run: Run, photos: Path, tmp_path: Path) -> None:
    run("allow", "photos/red.png", "--reason", "x", "--until", str(TODAY))
    yesterday = str(TODAY - timedelta(days=1))
    text = (tmp_path / LIST).read_text().replace(f" {TODAY} x", f" {yesterday} x")
    (tmp_path / LIST).write_text(text)
    done = run(*SCAN, "--allow", LIST, "-v")
    assert "flagged  1.000  photos/red.png" in done.stdout
    assert f"nsfwscan: allowed until {yesterday} only: photos/red.png\n" in done.stderr
    expired = f"nsfwscan: {LIST} allows 1 flagged image no longer (expired)\n"
    assert expired in done.stderr
    assert expired not in run(*SCAN, "--allow", LIST, "-q").stderr
    done = run("allow", "photos/red.png", "--reason", "x")
    assert done.stdout == f"{LIST}: 0 added, 1 changed, 0 as before\n"


def test_decisions_about_flagged_images_extend_the_list(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    def decision(name: str, status: str, verdict: str) -> dict[str, str]:
        known = {"sha256": digest(photos / name), "sha1": "0" * 40}
        return {"path": f"photos/{name}", "status": status, "decision": verdict, **known}

    decisions = [
        decision("red.png", "flagged", "safe"),
        decision("reddish.png", "flagged", "indecent"),
        decision("dark.png", "safe", "safe"),
        decision("broken.jpg", "error", "safe"),
    ]
    text = json.dumps({"schema": 1, "base": str(tmp_path), "decisions": decisions})
    (tmp_path / "decisions.json").write_text(text)
    done = run("allow", "decisions.json", "-o", "list.txt")
    assert done.stdout == "list.txt: 1 added, 0 changed, 0 as before\n"
    entries = (tmp_path / "list.txt").read_text().splitlines()[1:]
    assert entries == [f"{digest(photos / 'red.png')}  {TODAY} -          safe, by review"]


@pytest.mark.slow
def test_the_options_file_names_the_list_for_both_commands(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").touch()
    (tmp_path / "nsfwscan.toml").write_text('allow = "mine.txt"\nshow-allowed = true\n')
    assert run("allow", "photos/red.png", "--reason", "x").stdout.startswith("mine.txt: 1 added")
    assert "allowed  1.000  photos/red.png: x\n" in run(*SCAN).stdout
    (tmp_path / "nsfwscan.toml").unlink()
    variable = {"NSFWSCAN_ALLOW": "mine.txt"}
    assert "(1 allowed)" in run(*SCAN, environment=variable).stdout
    done = run("allow", "photos/reddish.png", "--reason", "x", environment=variable)
    assert done.stdout.startswith("mine.txt: 1 added")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/red.png"], "photos/red.png is an image: give --reason"),
        (["photos/red.png", "--reason", " "], "--reason takes one line of text that can be print"),
        (["photos/red.png", "--reason", "a\x1b[2J"], "--reason takes one line of text that can be"),
        (["photos/red.png", "--reason", "x", "--until", "soon"], "--until takes a day such as"),
        (["photos/red.png", "--reason", "x", "--until", "2020-01-01"], "2020-01-01 is in the past"),
        (["m.onnx", "--reason", "x"], "m.onnx is not an image; name images or decisions (.json)"),
        (["gone.png", "--reason", "x"], "cannot read gone.png: No such file or directory"),
        (["photos", "--reason", "x"], "photos is a folder; name images"),
        (["gone.json"], "cannot read gone.json: No such file or directory"),
        (["photos/red.png", "--reason", "x", "-o", "photos/red.png"], "photos/red.png is an input"),
        (["photos/red.png", "--reason", "x", "-o", "m.onnx"], "m.onnx is no allow-list"),
        (["photos/red.png", "--reason", "x", "-o", "gone/x"], "there is no folder gone"),
    ],
)
def test_wrong_usage_is_one_sentence(
    run: Run, photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    before = (photos / "red.png").read_bytes(), (tmp_path / "m.onnx").read_bytes()
    done = run("allow", *arguments)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / LIST).exists()
    assert before == ((photos / "red.png").read_bytes(), (tmp_path / "m.onnx").read_bytes())


def test_an_invalid_list_ends_the_scan_before_it_begins(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / LIST).write_text("# mine\nred.png 2026-11-28 - fine\n")
    done = run(*SCAN, "--allow", LIST)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"nsfwscan: {LIST}:2: 'red.png' is no SHA-256 in 64 lower-case hex digits\n"
    )
    done = run(*SCAN, "--allow", LIST, "-o", LIST)
    assert f"{LIST} is an input; name another file" in done.stderr


@pytest.mark.slow
def test_a_baseline_leaves_out_what_it_knows(run: Run, photos: Path, tmp_path: Path) -> None:
    run(*SCAN, "-f", "jsonl", "-o", "old.jsonl")
    done = run(*SCAN, "--baseline", "old.jsonl")
    assert done.returncode == 0
    assert done.stdout.startswith("4 found: 1 safe, 0 flagged, 0 errors, 3 as in the baseline; ")
    (photos / "red.png").rename(photos / "moved.png")
    (photos / "reddish.png").write_bytes((photos / "dark.png").read_bytes())
    Image.new("RGB", (30, 20), (220, 0, 0)).save(photos / "dark.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(41))
    done = run(*SCAN, "--baseline", "old.jsonl", "-f", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(Path(one["path"]).name, one["status"]) for one in records] == [
        ("broken.jpg", "error"),
        ("dark.png", "flagged"),
        ("reddish.png", "safe"),
    ]
    assert done.returncode == 2
    done = run(*SCAN, "-g", "!broken.jpg", "--baseline", "old.jsonl", "-l")
    assert (done.returncode, done.stdout) == (1, "photos/dark.png\n")
    refused = run(*SCAN, "--baseline", "old.jsonl", "-o", "old.jsonl")
    assert "old.jsonl is an input; name another file" in refused.stderr
    refused = run(*SCAN, "--baseline", "m.onnx")
    assert refused.returncode == 2
    assert "this is no record of a scan" in refused.stderr


def test_lists_extended_at_once_lose_nothing(run: Run, photos: Path, tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.png" for number in range(6)]
    for number, image in enumerate(images):
        image.write_bytes((photos / "red.png").read_bytes() + b"%d" % number)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda image: run("allow", image, "--reason", "x"), images))
    assert [one.returncode for one in done] == [0] * 6
    assert len(read_allow_list(tmp_path / "nsfwscan-allow.txt")) == 6
