"""Compare the documentation with the code, and run its commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from html import unescape
from pathlib import Path

import onnx
import pytest
from conftest import Run
from documents import DOCUMENTS, ROOT, Block, all_blocks
from helpers import PHOTOS, mean_model
from screenshot import COMMAND, TARGET, make_photos

from nsfwscan import Preprocess, __version__
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.manifest import Manifest, parse_manifest
from nsfwscan.record import FIELDS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def blocks(path: Path, language: str) -> list[str]:
    return [block.text for block in all_blocks(path) if block.language == language]


def test_generated_parts_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_an_outdated_part_is_detected_and_rewritten(tmp_path: Path) -> None:
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
    """Make the folder of the README's screenshot."""
    make_photos(tmp_path / "photos")
    return tmp_path


def text_of(svg: str) -> list[str]:
    """Return the lines of a screenshot."""
    lines: dict[str, str] = {}
    body = svg.partition('-matrix">')[2]
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>', body):
        lines[y] = lines.get(y, "") + unescape(text).replace("\xa0", " ").rstrip("\n")
    return list(lines.values())


def test_the_screenshot_shows_the_output_of_a_scan(run: Run, demo: Path) -> None:
    prompt, *shown = text_of(TARGET.read_text(encoding="utf-8"))
    assert prompt == f"$ {COMMAND}"
    done = run(*shlex.split(COMMAND)[1:], cwd=demo)
    without_time = re.compile(r"[\d.]+ s, [\d.]+ images/s")
    printed = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    assert [without_time.sub("", line) for line in printed] == [
        without_time.sub("", line) for line in shown
    ]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1000


PYTHON = [
    (path, code)
    for path in (ROOT / "README.md", ROOT / "docs" / "library.md")
    for code in blocks(path, "python")
]


@pytest.mark.parametrize(
    ("path", "code"), PYTHON, ids=[f"{path.name}-{i}" for i, (path, _) in enumerate(PYTHON)]
)
@pytest.mark.slow
def test_python_examples_of_readme_and_guide_run(demo: Path, path: Path, code: str) -> None:
    (demo / "more").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=demo, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout or "print" not in code
    if "record.reason" in code:
        assert "photos/camera/DSC0042.jpg error None truncated" in done.stdout
        assert "video" in done.stdout
    if "classifier.score" in code:
        scores = json.loads(done.stdout)
        assert len(set(scores)) == 1
        assert 0 < scores[0] < 1


def test_the_options_file_of_the_guide_is_valid(run: Run, demo: Path) -> None:
    (toml,) = blocks(ROOT / "docs" / "scanning.md", "toml")
    (demo / "nsfwscan.toml").write_text(toml)
    done = run("photos", cwd=demo)
    assert done.stderr.startswith("nsfwscan: options from nsfwscan.toml\n")
    assert "flagging as indecent from score 0.7 on" in done.stderr


def test_the_example_manifests_are_valid() -> None:
    text, output = blocks(ROOT / "docs" / "models.md", "json")
    assert isinstance(parse_manifest(text, "the example"), Manifest)
    whole = json.loads(text) | {"output": json.loads(output)}
    assert parse_manifest(json.dumps(whole), "the other").output.columns == (2, 0)


def section(title: str) -> str:
    """Return a section of the reference."""
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def test_the_reference_has_every_field_of_a_manifest() -> None:
    cascade = Cascade(model="0" * 64, band=1)
    manifest = Manifest(name="any", preprocess=Preprocess(size=8), cascade=cascade)
    listed = re.findall(r"^\| `([a-z_.]+)` \|", section("Manifest"), re.MULTILINE)
    expected = set()
    for name, value in json.loads(manifest.to_json()).items():
        nested = isinstance(value, dict) and name != "tools"
        expected |= {f"{name}.{inner}" for inner in value} if nested else {name}
    assert set(listed) == expected | {"cascade"}  # null, or an object


def test_the_reference_has_every_field_of_a_record() -> None:
    listed = re.findall(r"^\| `([a-z0-9_]+)` \|", section("Record"), re.MULTILINE)
    assert tuple(listed) == FIELDS


def names_in(shown: str, pattern: str) -> list[str]:
    return re.findall(pattern, shown, re.MULTILINE)


@pytest.mark.parametrize("program", ["nsfwscan", "nsfwtrain", "nsfwexport"])
def test_the_reference_has_every_option_of_every_command(run: Run, program: str) -> None:
    sections = r"^### ([^\n]*)\n\n```text\n(.*?)^```"
    described = dict(re.findall(sections, section("Commands"), re.MULTILINE | re.DOTALL))
    shown = run("--help", program=program).stdout
    commands = names_in(shown.partition("\nCommands:\n")[2], r"^  (\w+) ")
    assert len(commands) > 3
    for command in commands:
        shown = run(command, "--help", program=program).stdout
        heading = program if command == "scan" else f"{program} {command}"
        options = names_in(shown, r"^  (?:-\w, )?(--[\w-]+)")
        assert [name for name in options if f" {name} " not in described[heading]] == []


def test_an_options_file_may_hold_every_key_of_the_reference(run: Run, tmp_path: Path) -> None:
    values = {"true or false": "false", "integer": "1", "number": "0.5"}
    rows = re.findall(
        r"^\| `([\w-]+)` \| `(NSFWSCAN_\w+)` \| ([\w ]+) \|$",
        section("Options file and environment variables"), re.MULTILINE,
    )  # fmt: skip
    written = "".join(f"{key} = {values[kind]}\n" for key, _, kind in rows if kind in values)
    for key in ("max-memory", "max-cache-size"):
        written = written.replace(f"{key} = 1\n", f"{key} = 300000000\n")
    (tmp_path / "nsfwscan.toml").write_text(written)
    done = run("--no-cache", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(rows) > len(written.splitlines()) > 15


def test_the_diagram_shows_the_enforced_layers() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one.get("containers") == ["nsfwscan"])
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, diagram, *_ = blocks(ROOT / "docs" / "architecture.md", "text")
    shown = re.findall(r"^   (\w+)(?:/|\.py|, )", diagram, re.MULTILINE)
    lowest = layers[-1].split(" : ")
    assert shown == [*layers[1:-1], lowest[0]]
    assert ", ".join(lowest) in diagram
    for folder in (ROOT / "runtime" / "nsfwscan").iterdir():
        if folder.is_dir() and (folder / "__init__.py").exists():
            assert f"runtime/nsfwscan/{folder.name}/" in text or f"{folder.name}/" in diagram


REFERENCE = re.compile(r"`((?:runtime|export|training|tests|docs|benchmarks|locks)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


def test_what_the_documents_are_searched_for_occurs() -> None:
    """Else the tests below would check nothing."""
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    for pattern in (REFERENCE, LINK):
        assert sum(len(pattern.findall(text)) for text in texts) > 20
    notes = [block.note for path in DOCUMENTS for block in all_blocks(path)]
    assert "run by .ci/run" in notes


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_referenced_files_exist(path: Path) -> None:
    for name in REFERENCE.findall(path.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


RUN_HERE = re.compile(r"|exit codes:( \d+)+")
RUN_ELSEWHERE = re.compile(r"run by ([^\s,]+)")
TESTED_SEPARATELY = {
    ("README.md", "python"), ("library.md", "python"), ("scanning.md", "toml"),
    ("models.md", "json"), ("report.md", "python"), ("automation.md", "yaml"),
    ("architecture.md", "text"), ("reference.md", "text"), ("edge.md", "js"),
    ("scaling.md", "yaml"), ("scaling.md", "python"),
}  # fmt: skip
NOT_RUN = re.compile(r"not run: \S.+")


def to_run(path: Path) -> list[Block]:
    return [
        block
        for block in all_blocks(path)
        if block.language in {"console", "bash"} and RUN_HERE.fullmatch(block.note)
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_command_is_run_by_a_test_or_states_why_not(path: Path) -> None:
    for block in all_blocks(path):
        if block in to_run(path) or (path.name, block.language) in TESTED_SEPARATELY:
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
    """Make the folders and models that the commands of the documents use."""
    (tmp_path / "photos").mkdir()
    for name in ("astronaut.png", "logo.png", "retina.jpg"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    for name in ("site", "uploads"):
        shutil.copytree(tmp_path / "photos", tmp_path / name)
    ours = Manifest(name="mean", preprocess=Preprocess(size=8), threshold=0.99)
    mean_model(tmp_path / "b0.onnx", ours)
    document = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    manifest, _ = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    (tmp_path / "my-classifier.json").write_text(manifest)
    mean_model(
        tmp_path / "my-classifier.onnx", input_name="input", output_name="logits",
        dtype=onnx.TensorProto.FLOAT, shape=("N", 3, 224, 224),
        weights=((0.1, 0.0), (0.0, 0.0), (0.0, 0.0)), bias=(9.0, 0.0),
    )  # fmt: skip
    return tmp_path


def run_blocks(path: Path, folder: Path) -> None:
    """Run the commands of a document in order, exactly as printed."""
    scripts = sysconfig.get_path("scripts")
    here = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    for block in to_run(path):
        codes = {int(code) for code in re.findall(r"\d+", block.note)} or {0}
        ended = set()
        for command in block.commands():
            # A second command keeps bash as the parent process, which --install-completion detects.
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
@pytest.mark.slow
def test_commands_exit_with_the_documented_code(photos: Path, path: Path) -> None:
    run_blocks(path, photos)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs bash")
def test_the_commands_of_the_training_guide_work(tmp_path: Path) -> None:
    from backbones import small_backbone
    from labelled import make_collection

    from nsfwtrain.variants import VARIANTS

    make_collection(tmp_path / "made")
    (tmp_path / "made" / "0").rename(tmp_path / "decent")
    (tmp_path / "made" / "1").rename(tmp_path / "indecent")
    for name, source in ("cats", "decent"), ("photos/cat", "decent"), ("photos/dog", "indecent"):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(tmp_path / source / "0.png", tmp_path / name)
    (tmp_path / "list.csv").write_text("path,label\nindecent/1.png,dog\n")
    for row in VARIANTS:
        small_backbone(tmp_path / "backbones" / row.name, row.feature_dim)
    run_blocks(ROOT / "docs" / "training.md", tmp_path)


def test_the_python_of_the_report_guide_reads_a_report(run: Run, photos: Path) -> None:
    (code,) = blocks(ROOT / "docs" / "report.md", "python")
    assert run("photos", "--format", "jsonl", "--output", "report.jsonl").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=photos, capture_output=True, text=True, check=True
    )
    assert done.stdout == "3 files, 0 failed, 0 doubtful\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.slow
def test_the_nightly_script_prints_each_flagged_file_once(photos: Path) -> None:
    """Run the script of automation.md in the environment that cron sets up."""
    (script,) = (
        text for text in blocks(ROOT / "docs" / "automation.md", "bash") if "/bin/sh" in text
    )
    (photos / "nightly").write_text(script)
    (photos / "nightly").chmod(0o755)
    (photos / "nsfwscan.toml").write_text("threshold = 0.1\n")
    programs = photos / ".venvs" / "nsfwscan-cpu" / "bin"
    programs.parent.mkdir(parents=True)
    programs.symlink_to(sysconfig.get_path("scripts"))

    def printed() -> list[str]:
        done = subprocess.run(
            [photos / "nightly"], cwd=photos, env={"HOME": str(photos), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr in {"", "nsfwscan: options from nsfwscan.toml\n"}
        return done.stdout.splitlines()

    assert printed() == ["./uploads/logo.png", "./uploads/retina.jpg"]
    assert printed() == []
    shutil.copy(PHOTOS / "logo.png", photos / "uploads" / 'new "one".png')
    assert printed() == ['./uploads/new \\"one\\".png']
    (photos / "uploads" / "retina.jpg").rename(photos / "away")  # as if the scan was interrupted
    assert printed() == []
    (photos / "away").rename(photos / "uploads" / "retina.jpg")
    assert printed() == []
    (photos / "uploads" / "cut.jpg").write_bytes((PHOTOS / "rocket.jpg").read_bytes()[:40_000])
    (incomplete,) = printed()
    assert incomplete.startswith("the scan is incomplete (2): see report-")


def test_the_changelog_lists_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert all(re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in heads)
    assert heads[0].partition(" ")[0] in {"Unreleased", __version__}
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_ci_runs_the_commands_that_documents_attribute_to_it() -> None:
    runs = set(re.findall(r"^make \w+", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        for block in all_blocks(path):
            if block.note == "run by .ci/run":
                assert {" ".join(line.split()[:2]) for line in block.commands()} <= runs


def test_the_workflow_is_valid(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "docs" / "automation.md", "yaml")
    (tmp_path / "images.yaml").write_text(text)
    command: list[str | Path] = [
        Path(sysconfig.get_path("scripts")) / "check-jsonschema",
        "--builtin-schema", "vendor.github-workflows", tmp_path / "images.yaml",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub derives from a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_have_a_target(path: Path) -> None:
    for name, anchor in LINK.findall(path.read_text(encoding="utf-8")):
        target = path.parent / name if name else path
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"
