"""Every output of the three commands: its mode and links, a bad place, a full disk, its inputs.

The files of a training run, and what is made of a run, are in the last test, which takes longer. A
cache is a file of SQLite, which never replaces it. A journal is always a new file, see
`test_apply.py`.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from faults.scans import many, redness
from labelled import make_collection

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs mounts and privileges"),
]

Command = tuple[str, ...]
OLD = "of yesterday\n"
SCAN = ("nsfwscan", "photos", "-m", "m.onnx", "--no-cache", "-q", "-t", "0.3", "--exit-zero")
IMPORT = ("nsfwtrain", "import", "more", "--store", "store", "--label", "0")
CALIBRATE = ("nsfwexport", "calibrate", "m.onnx", "--labels", "labelled.csv", "--target-fpr", "0.5")
HALF = ("nsfwexport", "half", "m.onnx", "--images", "photos", "--max-difference", "1")
PHOTO = "photos/000000.png"
ALLOW = ("nsfwscan", "allow", PHOTO, "--reason", "red")
REVIEW = ("nsfwscan", "review", "r.jsonl")
PAGE = (*REVIEW, "--single-file")


@dataclass(frozen=True)
class Output:
    """One output of a command.

    Attributes
    ----------
    command
        The command line, which writes `file`.
    file
        The path of the output.
    full
        The size of a file, in bytes, at which the disk is full. None: the output is written in
        place from the start, so that a part of it would be left.
    inputs
        The ends of command lines that name an input as the output.
    """

    command: Command
    file: str = "out"
    full: int | None = 100
    inputs: tuple[Command, ...] = ()


def report(*more: str, full: int | None = 100) -> Output:
    """Describe the report of a scan."""
    scan = (*SCAN, *more)
    inputs = [
        (PHOTO, "-o", PHOTO),
        ("-o", PHOTO),  # a walk will find it
        ("-o", "link.png"),  # a link to it
        ("--files-from", "list", "-o", "list"),
        ("-o", "m.onnx"),
        ("-o", "nsfwscan.toml"),
    ]
    return Output((*scan, "-o", "out"), full=full, inputs=tuple((*scan, *end) for end in inputs))


def split(*more: str) -> Command:
    """Give a command that splits the store's labels."""
    return ("nsfwtrain", "split", "store/label.csv", *more)


def imported(table: str, *columns: str) -> Command:
    """Give a command that imports a list."""
    return ("nsfwtrain", "import", table, "--store", "store", *columns)


def converted(*more: str) -> Command:
    """Give a command that converts a run."""
    return ("nsfwexport", "convert", "run", *more)


OUTPUTS = {
    "text": report(),
    "json": report("-f", "json"),
    "csv": report("-f", "csv"),
    "html": report("-f", "html"),
    "sarif": report("-f", "sarif"),
    "paths": report("-l"),
    "jsonl": report("-f", "jsonl", full=None),
    "split": Output(
        split("-o", "out"),
        inputs=(split("-o", "store/label.csv"), split("--previous", "list", "-o", "list")),
    ),
    "labels": Output(
        IMPORT, "store/label.csv", 1000, (imported("store/label.csv", "--path-column", "objectId"),)
    ),
    "origins": Output(IMPORT, "store/origin.csv", 1000),
    "names": Output((*IMPORT, "--labels", "good,bad"), "store/labels.json", 10),
    "calibrate": Output(CALIBRATE, "m.onnx"),
    "allow": Output(
        (*ALLOW, "-o", "allow.txt"), "allow.txt", 10,
        inputs=((*ALLOW, "-o", PHOTO), (*ALLOW, "--reason", "x", "link.png", "-o", "link.png")),
    ),
    "review": Output((*REVIEW, "-o", "review"), "review/index.html"),
    "page": Output(
        (*PAGE, "-o", "out"),
        inputs=((*PAGE, "-o", "r.jsonl"), (*PAGE, "-o", PHOTO)),
    ),
    "half": Output(
        (*HALF, "-o", "out"), inputs=((*HALF, "-o", "m.onnx"), (*HALF, "-o", PHOTO))
    ),
}  # fmt: skip
CONVERT = Output(
    converted("-o", "out"),
    inputs=(
        converted("-o", "run/run.json"),
        converted("-o", "run/new.onnx"),
        converted("--images", "photos", "-o", PHOTO),
    ),
)
CHECKED = OUTPUTS | {"convert": CONVERT}
"""What a command checks first needs no run for this."""
WITH_INPUTS = {name: output for name, output in CHECKED.items() if output.inputs}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the inputs of every command, and an older file for every output, once."""
    folder = tmp_path_factory.mktemp("outputs") / "template"
    folder.mkdir()
    many(folder / "photos", 40)
    for path in many(folder / "more", 48)[:40]:
        path.unlink()  # the same bytes as in photos
    redness(folder / "m.onnx")
    rows = [f"photos/{i:06}.png,{int(i % 16 > 7)}" for i in range(40)]
    (folder / "labelled.csv").write_text("\n".join(["path,label", *rows]))
    (folder / "list").write_text("photos/000001.png\n")
    (folder / "nsfwscan.toml").touch()
    (folder / "link.png").symlink_to(PHOTO)
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{}")
    done = call(imported("labelled.csv"), folder)
    assert done.returncode == 0, done.stderr
    (folder / "store" / "labels.json").write_text('{"labels":["good","bad"]}')
    (folder / "out").write_text(OLD)
    (folder / "allow.txt").write_text("# nothing\n")
    for command in ((*SCAN, "-f", "jsonl", "-o", "r.jsonl"), (*REVIEW, "-o", "review")):
        done = call(command, folder)
        assert done.returncode == 0, done.stderr
    (folder / "review" / "index.html").write_text(OLD)
    return folder


@pytest.fixture
def here(template: Path, tmp_path: Path) -> Path:
    """Copy the prepared folder."""
    return shutil.copytree(template, tmp_path / "here", symlinks=True)


def call(
    command: Command, folder: Path, *, within: Sequence[str] = (), full: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a console script, within another program or with a full disk."""
    import resource

    script = str(Path(sysconfig.get_path("scripts")) / command[0])
    limit = (
        None if full is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (full,) * 2)
    )
    return subprocess.run(
        [*within, script, *command[1:]],
        cwd=folder, check=False, capture_output=True, text=True, timeout=300, preexec_fn=limit,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},  # the limit would cut compiled modules
    )  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def refused(done: subprocess.CompletedProcess[str], target: str) -> bool:
    """Tell whether a command ended with one sentence about its output."""
    (line,) = done.stderr.splitlines()
    return done.returncode == 2 and f": cannot write {target}: " in line and not done.stdout


def bind_mounts(folder: Path, *files: str) -> list[str]:
    """Give a program that runs a command where files are bind mounts of those in ``host/``."""
    (folder / "host").mkdir()
    mounts = []
    for number, file in enumerate(files):
        shutil.copy(folder / file, folder / "host" / str(number))
        mounts.append(f"mount --bind host/{number} {file} &&")
    within = ["unshare", "-rm", "sh", "-c", " ".join([*mounts, 'exec "$@"']), "sh"]
    trial = subprocess.run(
        ["sh", "-c", 'exec "$@"', "sh", *within, "true"], cwd=folder, check=False
    )
    if trial.returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    return within


def without_privileges() -> list[str]:
    """Give a program that runs a command without root's right to write everything."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv to be refused anything")
    return ["setpriv", "--bounding-set=-dac_override,-fowner"]


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_keeps_its_mode(here: Path, output: Output) -> None:
    file = here / output.file
    file.chmod(0o640)
    before = file.read_bytes()
    done = call(output.command, here)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o7777 == 0o640
    assert file.read_bytes() != before
    assert not list(here.rglob(".*.tmp"))


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_keeps_its_links(here: Path, output: Output) -> None:
    file, real, twin = here / output.file, here / "real", here / "twin"
    file.rename(real)
    twin.hardlink_to(real)
    file.symlink_to(real)
    before = real.read_bytes()
    done = call(output.command, here)
    assert done.returncode == 0, done.stderr
    assert file.is_symlink()
    assert real.samefile(twin)
    assert twin.read_bytes() != before


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_may_be_a_bind_mount(here: Path, output: Output) -> None:
    before = (here / output.file).read_bytes()
    done = call(output.command, here, within=bind_mounts(here, output.file))
    assert done.returncode == 0, done.stderr
    assert (here / "host" / "0").read_bytes() != before
    assert (here / output.file).read_bytes() == before
    assert not list(here.rglob(".*.tmp"))


@pytest.mark.parametrize("output", CHECKED.values(), ids=CHECKED)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    here: Path, output: Output
) -> None:
    (here / output.file).chmod(0o444)
    for name in ("m.onnx", "store/label.csv", "labelled.csv"):
        if name != output.file and output.command not in (CALIBRATE, IMPORT):
            (here / name).write_text("work that has begun would fail here")
    before = content(here)
    done = call(output.command, here, within=without_privileges())
    assert refused(done, output.file), done.stderr
    assert content(here) == before


@pytest.mark.parametrize(
    "output", [o for o in OUTPUTS.values() if o.full], ids=[n for n, o in OUTPUTS.items() if o.full]
)
def test_a_full_disk_leaves_the_old_file(here: Path, output: Output) -> None:
    before = (here / output.file).read_bytes()
    done = call(output.command, here, full=output.full)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert ": cannot write " in line
    assert line.endswith(": File too large")
    assert (here / output.file).read_bytes() == before
    assert not list(here.rglob(".*.tmp"))


@pytest.mark.parametrize("output", WITH_INPUTS.values(), ids=WITH_INPUTS)
def test_an_input_is_no_output(here: Path, output: Output) -> None:
    before = content(here)
    for command in output.inputs:
        done = call(command, here)
        target = command[-1] if "-o" in command else command[2]
        assert refused(done, target), done.stderr
        assert content(here) == before


def test_a_list_on_standard_input_is_no_output(here: Path) -> None:
    command = [*SCAN, "--files-from", "-", "-f", "jsonl", "-o", "list"]
    script = Path(sysconfig.get_path("scripts")) / "nsfwscan"
    with (here / "list").open() as stdin:
        done = subprocess.run(
            [script, *command[1:]],
            cwd=here,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    assert refused(done, "list"), done.stderr
    assert (here / "list").read_text() == "photos/000001.png\n"


def test_a_dash_is_standard_output_or_refused(here: Path) -> None:
    done = call((*SCAN, "-f", "csv", "-o", "-"), here)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 41
    for command in (split(), HALF, converted(), ALLOW, PAGE, REVIEW):
        assert refused(call((*command, "-o", "-"), here), "-")
    assert not (here / "-").exists()


def test_a_scan_does_not_count_its_own_files_and_counts_those_of_others(here: Path) -> None:
    (here / ".nsfwscan-12345678.tmp").mkdir()
    shutil.copy(here / PHOTO, here / ".nsfwscan-12345678.tmp" / "hidden.png")
    scan = (
        "nsfwscan",
        "photos",
        ".",
        "-m",
        "m.onnx",
        "--no-cache",
        "-f",
        "json",
        "-o",
        "out",
        "-v",
    )
    seen = call(scan, here).stderr
    assert [line.rsplit("/", 1)[-1] for line in seen.splitlines() if "hidden folder" in line][
        :1
    ] == [".nsfwscan-12345678.tmp"]
    call((*scan, "--hidden"), here)
    paths = [one["path"] for one in json.loads((here / "out").read_text())]
    assert "./.nsfwscan-12345678.tmp/hidden.png" in paths


def test_a_cache_keeps_its_file(here: Path) -> None:
    scan = (*(word for word in SCAN if word != "--no-cache"), "--cache")
    (here / "real").touch(0o640)
    (here / "cache").symlink_to("real")
    assert call((*scan, "cache"), here).returncode == 0
    assert (here / "cache").is_symlink()
    assert (here / "real").stat().st_mode & 0o7777 == 0o640
    mounted = call((*scan, "real"), here, within=bind_mounts(here, "real"))
    assert mounted.returncode == 0, mounted.stderr
    before = content(here)
    for name in (PHOTO, "m.onnx", "list"):
        done = call((*scan, name), here)
        assert done.returncode == 2
        assert name in done.stderr
    assert content(here) == before


def test_the_outputs_of_a_training(tmp_path: Path) -> None:
    """Every third file is replaced, the next has a hard link, and the next is a bind mount."""
    made = make_collection(tmp_path)
    plots = ("roc.png", "precision-recall.png", "reliability.png", "confusion.png")
    tables = (
        "metrics.json", "scores.csv", "history.csv", "held_out.csv", "split.csv", "begun.json",
        "model.h5",
    )  # fmt: skip
    pages = (
        "report.md", "report.html", "report.csv", "size.png", "quality.png",
        "accuracy-by-parameters.png", "strengths.png",
    )  # fmt: skip
    places = [f"runs/b0/{name}" for name in (*tables, *plots)]
    places += [f"evaluation/{name}" for name in (*plots, "scores.csv")]
    places += [f"runs/{name}" for name in (*pages, "sweep.json")] + ["b0.onnx"]
    for name in places:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(OLD)
        (tmp_path / name).chmod(0o640)
    same_sweep = '{"arguments": [], "backbone": null}'
    (tmp_path / "runs" / "sweep.json").write_text(same_sweep)
    linked, mounted = places[1::3], places[2::3]
    for name in linked:
        (tmp_path / f"{name}.twin").hardlink_to(tmp_path / name)
    old = {name: (tmp_path / name).read_bytes() for name in places}

    options = ("--store", str(made.store), "--split", str(made.split), "--cache", "cache")
    fit: Command = ("nsfwtrain", "fit", "b0", *options, "--out", "runs/b0")
    fit = (*fit, "--backbone", str(made.backbone))
    evaluate: Command = ("nsfwtrain", "evaluate", "runs/b0", *options, "--out", "evaluation")
    compare: Command = ("nsfwtrain", "report", "runs")
    sweep: Command = ("nsfwtrain", "sweep", "--out", "runs", "--variants", "b0")
    convert: Command = ("nsfwexport", "convert", "runs/b0", "-o", "b0.onnx")

    def refuses(command: Command, name: str, within: Sequence[str] = ()) -> None:
        (tmp_path / name).chmod(0o444)
        done = call(command, tmp_path, within=[*within, *without_privileges()])
        assert refused(done, name), done.stderr
        (tmp_path / name).chmod(0o640)

    refuses(fit, "runs/b0/scores.csv")
    assert not (tmp_path / "cache").exists()
    own_split = tmp_path / "runs" / "b0" / "split.csv"
    own_split.write_bytes(made.split.read_bytes())
    done = call((*fit, "--split", "runs/b0/split.csv"), tmp_path)
    assert refused(done, "runs/b0/split.csv"), done.stderr
    own_split.write_text(OLD)

    within = bind_mounts(tmp_path, *mounted)
    for command in (fit, evaluate, compare, sweep, convert):
        done = call(command, tmp_path, within=within)
        assert done.returncode == 0, done.stderr
    for name in places:
        file = tmp_path / name
        if name in mounted:
            assert file.read_bytes() == old[name], name
            file = tmp_path / "host" / str(mounted.index(name))
        assert file.read_bytes() != old[name], name
        assert file.stat().st_mode & 0o7777 == 0o640, name
        if name in linked:
            assert file.samefile(tmp_path / f"{name}.twin"), name
    assert not list(tmp_path.rglob(".nsfwscan-*"))

    replaced = places[::3]
    refuses(evaluate, next(name for name in replaced if name.startswith("evaluation")), within)
    refuses(compare, next(name for name in replaced if name.startswith("runs/report")), within)
    before = (tmp_path / "b0.onnx").read_bytes()
    done = call((*convert, "--images", "1"), tmp_path, within=within, full=1000)
    assert done.returncode == 2
    assert done.stderr == "nsfwexport: cannot write b0.onnx: File too large\n"
    assert (tmp_path / "b0.onnx").read_bytes() == before
