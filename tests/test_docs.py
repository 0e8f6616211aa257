"""The documentation is run, not believed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import onnx
import pytest
from conftest import Run
from documents import DOCUMENTS, ROOT, Block, all_blocks
from helpers import PHOTOS, mean_model

from nsfwscan import Preprocess, __version__
from nsfwscan.inference.manifest import Manifest, parse_manifest


def blocks(path: Path, language: str) -> list[str]:
    return [block.text for block in all_blocks(path) if block.language == language]


def test_generated_parts_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_a_stale_part_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("generate.py", "licences.py"):
        shutil.copy(ROOT / "docs" / name, tmp_path / "docs")
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
    without_time = re.compile(r"[\d.]+ s, [\d.]+ images/s")
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


RUN_HERE = re.compile(r"|exit codes:( \d+)+")
RUN_ELSEWHERE = re.compile(r"run by ([^\s,]+)")
WITH_A_TEST_OF_ITS_OWN = {  # which takes apart the only one there is
    ("README.md", "python"), ("README.md", "toml"), ("models.md", "json"), ("report.md", "python"),
    ("automation.md", "yaml"),
}  # fmt: skip
NOT_RUN = re.compile(r"not run: \S.+")


def to_run(path: Path) -> list[Block]:
    return [
        block
        for block in all_blocks(path)
        if block.language in {"console", "bash"} and RUN_HERE.fullmatch(block.note)
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_run_by_a_test_or_say_why_not(path: Path) -> None:
    for block in all_blocks(path):
        if block in to_run(path) or (path.name, block.language) in WITH_A_TEST_OF_ITS_OWN:
            continue
        assert block.language in {"console", "bash", "text"}
        if block.note.startswith("generated: "):
            continue
        elsewhere = RUN_ELSEWHERE.match(block.note)
        assert elsewhere or NOT_RUN.fullmatch(block.note), block
        if elsewhere:
            runner = ROOT / elsewhere[1]
            assert path.name in runner.read_text(encoding="utf-8"), block.note


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make the folders and models that the documents speak of."""
    (tmp_path / "photos").mkdir()
    for name in ("astronaut.png", "logo.png", "retina.jpg"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    for name in ("site", "uploads"):
        shutil.copytree(tmp_path / "photos", tmp_path / name)
    ours = Manifest(name="mean", preprocess=Preprocess(size=8), threshold=0.99)
    mean_model(tmp_path / "b0.onnx", ours)
    document = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (manifest,) = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    (tmp_path / "my-classifier.json").write_text(manifest)
    mean_model(
        tmp_path / "my-classifier.onnx", input_name="input", output_name="logits",
        dtype=onnx.TensorProto.FLOAT, shape=("N", 3, 224, 224),
        weights=((0.1, 0.0), (0.0, 0.0), (0.0, 0.0)), bias=(9.0, 0.0),
    )  # fmt: skip
    return tmp_path


def run_blocks(path: Path, folder: Path) -> None:
    """Run a document's commands one after another, as they are printed."""
    scripts = sysconfig.get_path("scripts")
    here = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    for block in to_run(path):
        codes = {int(code) for code in re.findall(r"\d+", block.note)} or {0}
        ended = set()
        for command in block.commands():
            # With a second command, bash stays the parent; --install-completion looks for a shell.
            done = subprocess.run(
                ["bash", "-c", f"{command}\nexit $?"], cwd=folder, env=here, check=False,
                capture_output=True, text=True, timeout=600,
            )  # fmt: skip
            assert done.returncode in codes | {0}, (command, done.stdout, done.stderr)
            ended.add(done.returncode)
        assert codes <= ended | {0}, (block, ended)


QUICK = [path for path in DOCUMENTS if to_run(path) and path.stem != "training"]


@pytest.mark.skipif(os.name == "nt", reason="needs bash")
@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.name)
def test_commands_end_as_the_document_says(photos: Path, path: Path) -> None:
    run_blocks(path, photos)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs bash")
def test_training_goes_as_its_document_says(tmp_path: Path) -> None:
    from backbones import small_backbone
    from labelled import make_collection

    from nsfwtrain.variants import VARIANTS

    make_collection(tmp_path / "made")
    (tmp_path / "made" / "0").rename(tmp_path / "decent")
    (tmp_path / "made" / "1").rename(tmp_path / "indecent")
    for row in VARIANTS:
        small_backbone(tmp_path / "backbones" / row.name, row.feature_dim)
    run_blocks(ROOT / "docs" / "training.md", tmp_path)


def test_the_report_is_read_as_its_document_says(run: Run, photos: Path) -> None:
    (code,) = blocks(ROOT / "docs" / "report.md", "python")
    assert run("photos", "--format", "jsonl", "--output", "report.jsonl").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=photos, capture_output=True, text=True, check=True
    )
    assert done.stdout == "3 files, 0 unknown, 0 doubtful\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_the_nightly_script_tells_what_is_new_and_nothing_twice(photos: Path) -> None:
    """The script of automation.md, in the surroundings that cron gives it."""
    (script,) = (text for text in blocks(ROOT / "docs" / "automation.md", "bash") if "cron" in text)
    (photos / "nightly").write_text(script)
    (photos / "nightly").chmod(0o755)
    (photos / "nsfwscan.toml").write_text("threshold = 0.1\n")
    programs = photos / ".venvs" / "nsfwscan-cpu" / "bin"
    programs.parent.mkdir(parents=True)
    programs.symlink_to(sysconfig.get_path("scripts"))

    def told() -> list[str]:
        done = subprocess.run(
            [photos / "nightly"], cwd=photos, env={"HOME": str(photos), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr in {"", "nsfwscan: options from nsfwscan.toml\n"}
        return done.stdout.splitlines()

    assert told() == ["./uploads/logo.png", "./uploads/retina.jpg"]
    assert told() == []
    shutil.copy(PHOTOS / "logo.png", photos / "uploads" / 'new "one".png')
    assert told() == ['./uploads/new \\"one\\".png']
    (photos / "uploads" / "cut.jpg").write_bytes((PHOTOS / "rocket.jpg").read_bytes()[:40_000])
    (incomplete,) = told()
    assert incomplete.startswith("the scan is incomplete (2): see report-")


def test_the_changelog_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert all(re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in heads)
    assert heads[0].partition(" ")[0] in {"Unreleased", __version__}
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_what_ci_is_said_to_run_it_runs() -> None:
    runs = set(re.findall(r"^make \w+", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        for block in all_blocks(path):
            if block.note == "run by .ci/run":
                assert {" ".join(line.split()[:2]) for line in block.commands()} <= runs


def test_the_workflow_is_one(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "docs" / "automation.md", "yaml")
    (tmp_path / "images.yaml").write_text(text)
    command: list[str | Path] = [
        Path(sysconfig.get_path("scripts")) / "check-jsonschema",
        "--builtin-schema", "vendor.github-workflows", tmp_path / "images.yaml",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
