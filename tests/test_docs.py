"""The documentation is run, not believed."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from helpers import PHOTOS

from nsfwscan.manifest import Manifest, parse_manifest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_generated_parts_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_a_stale_part_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "generate.py", tmp_path / "docs")
    stale = "<!-- generated: exit-codes -->\nold\n<!-- end -->\n"
    (tmp_path / "README.md").write_text(stale)
    command = [sys.executable, str(tmp_path / "docs" / "generate.py")]
    assert subprocess.run([*command, "--check"], capture_output=True, check=False).returncode == 1
    assert subprocess.run(command, capture_output=True, check=True).returncode == 0
    assert "| 130 | interrupted" in (tmp_path / "README.md").read_text()
    assert subprocess.run([*command, "--check"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """Make the folder of the README's example."""
    camera = tmp_path / "photos" / "camera"
    camera.mkdir(parents=True)
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "logo.png", "rocket.jpg",
                 "retina.jpg", "no_time_for_that_tiny.gif"):  # fmt: skip
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    for name in ("motorcycle_left.png", "motorcycle_right.png"):
        shutil.copy(PHOTOS / name, camera)
    (camera / "DSC0042.jpg").write_bytes((PHOTOS / "rocket.jpg").read_bytes()[:40_000])
    (camera / "clip.mp4").write_bytes(bytes(2000))
    return tmp_path


def test_the_readme_shows_what_is_really_printed(run: Run, demo: Path) -> None:
    shown = next(b for b in blocks(ROOT / "README.md", "console") if "--threshold" in b)
    command, *expected = shown.splitlines()
    done = run(*shlex.split(command)[2:], cwd=demo)
    without_time = re.compile(r"[\d.]+ s, [\d.]+ pictures/s")
    printed = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    assert [without_time.sub("", line) for line in printed] == [
        without_time.sub("", line) for line in expected
    ]


def test_the_readme_s_python_runs(demo: Path) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=demo, capture_output=True, text=True, check=True
    )
    assert "photos/camera/DSC0042.jpg error None truncated" in done.stdout
    assert "video" in done.stdout


def test_the_readme_s_options_file_is_valid(run: Run, demo: Path) -> None:
    (toml,) = blocks(ROOT / "README.md", "toml")
    (demo / "nsfwscan.toml").write_text(toml)
    done = run("photos", cwd=demo)
    assert done.stderr.startswith("nsfwscan: options from nsfwscan.toml\n")
    assert "flagging scores from 0.7 on" in done.stderr


def test_the_example_manifest_is_valid_and_the_table_is_complete() -> None:
    path = ROOT / "docs" / "models.md"
    (text,) = blocks(path, "json")
    manifest = parse_manifest(text, "the example")
    assert isinstance(manifest, Manifest)
    table = set(re.findall(r"`([a-z_.]+)`", " ".join(re.findall(r"^\| (`.*?) \|", path.read_text(
        encoding="utf-8"), re.MULTILINE))))  # fmt: skip
    fields = set()
    for name, value in json.loads(manifest.to_json()).items():
        nested = name in {"preprocess", "input", "output"}
        fields |= {f"{name}.{inner}" for inner in value} if nested else {name}
    assert table == fields


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
