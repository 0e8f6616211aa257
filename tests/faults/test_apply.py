"""Actions after a scan that are disturbed: kills, full disks, read-only folders, other disks."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from acted import OLD, record, report, reported, snapshot, tree
from faults.scans import SCRIPT
from faults.test_outputs import without_privileges

from nsfwscan.review.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")

FILES = {
    "photos/a.jpg": b"a",
    "photos/a.mov": b"moving",
    "photos/b/a.jpg": b"a in b",
    "photos/b/a.xmp": b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>',
    "photos/same.jpg": b"same",
    "photos/\udcff.jpg": b"x",
}
IMAGES = ("photos/a.jpg", "photos/b/a.jpg", "photos/same.jpg", "photos/\udcff.jpg")


def call(
    *arguments: str | Path,
    cwd: Path,
    within: list[str] | None = None,
    limit: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(within or []), SCRIPT, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=120,
    )  # fmt: skip


def apply(*more: str | Path) -> list[str | Path]:
    return ["apply", "--from", "../r.jsonl", "--flagged", "--journal", "../j", *more]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    here = tree(tmp_path / "here", FILES)
    reported(tmp_path / "r.jsonl", here, *IMAGES)
    return here


@pytest.fixture
def other_disk(tmp_path: Path) -> Path:
    """Give a new folder on another file system."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    folder = shared / f"nsfwscan-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    request_removal.append(folder)
    return folder


request_removal: list[Path] = []


@pytest.fixture(autouse=True)
def _clean() -> object:
    yield
    while request_removal:
        shutil.rmtree(request_removal.pop())


@pytest.mark.slow
@pytest.mark.parametrize("action", ["move", "other disk", "copy", "link", "trash", "tag"])
def test_a_kill_before_any_change_loses_nothing(
    other_disk: Path, tmp_path: Path, action: str
) -> None:
    """Among the targets is a file of the same content, so that its source is dropped.

    The files lie in memory, where waiting for the disk takes no time.
    """
    folder = other_disk / "place"
    reported(folder / "r.jsonl", tree(folder / "here", FILES), *IMAGES)
    tree(folder / "out", {"photos/same.jpg": b"same"})
    target = folder / "out"
    if action == "other disk":
        target, action = tmp_path / "out", "move"
    done = subprocess.run(
        [sys.executable, "-m", "faults.killed", folder, action, target],
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parent.parent), "XDG_DATA_HOME": str(folder / "data")},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 40


@pytest.mark.slow
def test_five_thousand_files_survive_kills_at_random_moments(tmp_path: Path) -> None:
    """Each kill is followed by resuming or by undoing, which may be killed too."""
    count, kills = 5_000, 50
    names = [f"p{i % 7}/{i:05}.jpg" for i in range(count)]
    here = tree(tmp_path / "here", {name: name.encode() for name in names})
    report(tmp_path / "r.jsonl", [record(name, name.encode()) for name in names])
    before = snapshot(here)
    journal, dice, killed, turn = tmp_path / "j", random.Random(18), 0, 0
    forwards = True
    while killed < kills or turn % 10:
        command = apply("--move-to", "../out") if forwards else ["undo", "../j"]
        process = subprocess.Popen(
            [SCRIPT, *command], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        size = journal.stat().st_size if journal.exists() else 0
        place = max(size, 2_000_000) + dice.randrange(count) * 14
        while process.poll() is None and (not journal.exists() or journal.stat().st_size < place):
            time.sleep(0.001)
        process.kill()
        process.communicate()
        killed += process.returncode < 0
        turn += 1
        if forwards:
            forwards = dice.random() < 0.3
        elif process.returncode == 0:
            assert snapshot(here) == before
            assert not (tmp_path / "out").exists()
            journal.unlink()
            forwards = True
        if turn % 10 == 0 and journal.exists():
            done = call("undo", "../j", cwd=here)
            assert done.returncode == 0, done.stderr
            assert snapshot(here) == before
            journal.unlink()
            forwards = True
    assert snapshot(here) == before
    assert not (tmp_path / "out").exists()


def test_a_move_to_another_disk_and_back(here: Path, other_disk: Path) -> None:
    before = snapshot(here)
    done = call(*apply("--move-to", other_disk), cwd=here)
    assert done.returncode == 0, done.stderr
    moved = other_disk / "photos" / "a.jpg"
    assert moved.read_bytes() == b"a"
    assert moved.stat().st_mtime_ns == before["photos/a.jpg"][1]
    assert not list(here.rglob("*.jpg"))
    os.utime(moved, ns=(OLD - 5, OLD - 5))  # FAT keeps even seconds
    moved.chmod(0o777)
    assert call("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before
    assert not list(other_disk.iterdir())


def test_a_full_disk_loses_nothing_and_the_rest_is_done(here: Path, other_disk: Path) -> None:
    """The file system refuses files of more than 40,000 bytes; the journal is shorter."""
    import resource

    big = tree(here, {"photos/big.jpg": os.urandom(50_000), "photos/big.aae": b"edits"})
    reported(here.parent / "r.jsonl", big, *IMAGES, "photos/big.jpg")
    before = snapshot(here)
    done = call(
        *apply("--move-to", other_disk),
        cwd=here,
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000,) * 2),
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        f"nsfwscan: cannot move {here}/photos/big.jpg: File too large",
        f"nsfwscan: cannot move {here}/photos/big.aae: its image stays too",
    ]
    assert done.stdout.startswith("moved 4 images and 2 sidecars into ")
    assert (here / "photos/big.jpg").stat().st_size == 50_000
    assert not [path for path in other_disk.rglob("*") if "big" in path.name or "tmp" in path.name]
    assert call("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before


def test_a_full_disk_stops_before_the_first_step(here: Path) -> None:
    import resource

    before = snapshot(here)
    done = call(
        *apply("--move-to", "../out"),
        cwd=here,
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500,) * 2),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nsfwscan: cannot write ../j: File too large\n"
    assert snapshot(here) == before
    assert sorted(path.name for path in here.parent.iterdir()) == ["here", "r.jsonl"]


def test_a_really_full_file_system(here: Path) -> None:
    """A small tmpfs, which fills up between two files."""
    tree(here, {f"photos/{i}.jpg": os.urandom(30_000) for i in range(4)})
    reported(here.parent / "r.jsonl", here, *(f"photos/{i}.jpg" for i in range(4)))
    (here.parent / "out").mkdir()
    before = snapshot(here)
    mount = "mount -t tmpfs -o size=80k none ../out &&"
    within = ["unshare", "-rm", "sh", "-c", f'{mount} "$@"; code=$?; "$0" undo ../j; exit $code']
    trial = ["unshare", "-rm", "sh", "-c", f"{mount} true"]
    if subprocess.run(trial, cwd=here, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    done = call(*apply("--move-to", "../out"), cwd=here, within=[*within, str(SCRIPT)])
    assert done.returncode == 2
    lines = [line.partition(": cannot ")[2] for line in done.stderr.splitlines()[1:]]
    assert lines
    assert all(line.endswith(": No space left on device") for line in lines)
    assert f"moved {4 - len(lines)} images" in done.stdout
    assert f"restored {4 - len(lines)} images" in done.stdout
    assert snapshot(here) == before


def on_a_volume(here: Path, prepare: str) -> list[str]:
    """Give a program that runs a command where ``photos`` is a file system of its own.

    It names the trash there and counts its files, undoes the command, and compares what is there.
    """
    shutil.copytree(here / "photos", here.parent / "kept")
    namespace = ["unshare", "-rm", "sh", "-c"]
    mount = f"mount -t tmpfs none photos && cp -a ../kept/. photos && {prepare} &&"
    if subprocess.run([*namespace, f"{mount} true"], cwd=here, check=False).returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    after = (
        "code=$?; ls -d photos/.Trash*/files photos/.Trash/*/files 2>&-;"
        f" find photos -path '*/files/*' | wc -l; {SCRIPT} undo ../j;"
        " diff -r -x '.Trash*' ../kept photos && echo equal; exit $code"
    )
    return [*namespace, f'{mount} {{ "$@"; {after}; }}', "sh"]


@pytest.mark.parametrize("shared", [False, True])
def test_the_trash_of_another_volume(here: Path, shared: bool) -> None:
    """It lies at the top of the volume, and in `.Trash` if the administrator has made that."""
    within = on_a_volume(here, "mkdir -m 1777 photos/.Trash" if shared else "true")
    done = call(*apply("--trash"), cwd=here, within=within)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "put into the trash: 4 images and 2 sidecars", "to undo: nsfwscan undo ../j",
        "photos/.Trash/0/files" if shared else "photos/.Trash-0/files", "6",
        "restored 4 images and 2 sidecars", "equal",
    ]  # fmt: skip


def test_a_volume_without_a_trash_is_named(here: Path) -> None:
    within = [*on_a_volume(here, "chmod 555 photos"), *without_privileges()]
    done = call(*apply("--trash"), cwd=here, within=within)
    assert done.returncode == 2
    assert done.stderr.count("its file system has no trash, and you cannot create one") == 4
    assert done.stderr.count("its image stays too") == 2
    assert done.stdout.splitlines()[-1] == "equal"


def test_a_read_only_target_is_one_sentence(here: Path) -> None:
    out = here.parent / "out"
    out.mkdir(0o555)
    before = snapshot(here.parent)
    done = call(*apply("--move-to", "../out"), cwd=here, within=without_privileges())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"nsfwscan: cannot write into {out}: {out} is read-only\n"
    assert snapshot(here.parent) == before


@pytest.mark.parametrize("disk", ["same", "other"])
def test_a_read_only_source_folder_leaves_no_copy(
    here: Path, disk: str, request: pytest.FixtureRequest
) -> None:
    out = here.parent / "out" if disk == "same" else request.getfixturevalue("other_disk")
    (here / "photos" / "b").chmod(0o555)
    done = call(*apply("--move-to", out), cwd=here, within=without_privileges())
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        f"nsfwscan: cannot move {here}/photos/b/a.jpg: Permission denied",
        f"nsfwscan: cannot move {here}/photos/b/a.xmp: its image stays too",
    ]
    assert not list((out / "photos" / "b").iterdir())
    assert (here / "photos" / "b" / "a.jpg").read_bytes() == b"a in b"


def test_a_journal_is_used_by_one_command_at_a_time(here: Path) -> None:
    before = snapshot(here)
    assert call(*apply("--move-to", "../out"), cwd=here).returncode == 0
    with Journal(here.parent / "j"):
        for command in (["undo", "../j"], apply("--move-to", "../out")):
            done = call(*command, cwd=here)
            assert done.returncode == 2
            said = "nsfwscan: ../j is in use; wait for the end of that command\n"
            assert done.stderr == said
    assert call("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before
    assert {path.name for path in here.parent.iterdir()} == {"here", "r.jsonl", "j"}


def test_a_journal_on_a_full_disk_stops_and_can_be_undone(here: Path) -> None:
    import resource

    before = snapshot(here)
    assert call(*apply("--move-to", "../out"), cwd=here).returncode == 0
    whole = (here.parent / "j").read_bytes()
    assert call("undo", "../j", cwd=here).returncode == 0
    (here.parent / "j").unlink()
    room = len(whole) - 40  # two steps have no line
    done = call(
        *apply("--move-to", "../out"),
        cwd=here,
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room,) * 2),
    )
    assert done.returncode == 2
    assert "cannot write ../j" in done.stderr
    assert call("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before


def test_a_file_that_appears_at_the_target_is_not_replaced(here: Path) -> None:
    """It appears after the plan: a journal without a step done is resumed."""
    call(*apply("--move-to", "../out"), cwd=here)
    call("undo", "../j", cwd=here)
    journal = here.parent / "j"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"journal"' in line or '"op"' in line))
    tree(here.parent / "out", {"photos/a.jpg": b"mine"})
    before = snapshot(here)
    done = call(*apply("--move-to", "../out"), cwd=here)
    assert done.returncode == 2
    assert f"another file has taken {here.parent}/out/photos/a.jpg" in done.stderr
    assert (here / "photos/a.jpg").read_bytes() == b"a"
    assert (here / "photos/a.mov").exists()
    undone = call("undo", "../j", cwd=here)
    assert undone.returncode == 0, undone.stderr
    assert snapshot(here) == before
    assert (here.parent / "out/photos/a.jpg").read_bytes() == b"mine"
