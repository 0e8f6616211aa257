"""The commands `apply` and `undo`, through the installed script."""

import hashlib
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from acted import decided, record, report, reported, snapshot, tree
from conftest import Run
from documents import all_blocks
from helpers import PHOTOS, lacking

ROOT = Path(__file__).parents[3]
FILES = {
    "photos/a.jpg": b"a",
    "photos/b/a.jpg": b"a in b",
    "photos/safe.jpg": b"safe",
    "photos/live.heic": b"live",
    "photos/live.MOV": b"moving",
    "photos/raw.jpg": b"developed",
    "photos/raw.jpg.xmp": b"of the jpg",
    "photos/raw.cr2": b"raw",
    "photos/raw.xmp": b"of both",
}
RDF = b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'
IMAGES = ("photos/a.jpg", "photos/b/a.jpg", "photos/live.heic", "photos/raw.jpg")
TRAVELLING = {*IMAGES, "photos/live.MOV", "photos/raw.jpg.xmp"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Make a folder with images, and a report that flags all but one."""
    here = tree(tmp_path / "here", FILES)
    records = [record(name, FILES[name]) for name in IMAGES]
    records.append(record("photos/safe.jpg", FILES["photos/safe.jpg"], status="safe", score=0.1))
    records.append(record("photos/bad.jpg", b"", status="error", score=None, sha256=None))
    report(tmp_path / "r.jsonl", records)
    return here


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


FLAGGED = ("apply", "--from", "../r.jsonl", "--flagged", "--journal", "../j")


COPY = ("--from", "r.jsonl", "--flagged", "--base", "here", "--copy-to", "out")


def test_flagged_images_are_moved_with_their_sidecars_and_back(run: Run, here: Path) -> None:
    before = snapshot(here)
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert (done.returncode, done.stderr.splitlines()) == (
        0, ["nsfwscan: photos/raw.xmp: raw.cr2 needs it too", "nsfwscan: journal: ../j"],
    )  # fmt: skip
    out = here.parent / "out"
    assert done.stdout == (
        f"moved 4 images and 2 sidecars into {out}; 1 left alone\nto undo: nsfwscan undo ../j\n"
    )
    assert content(out) == {name: FILES[name] for name in TRAVELLING}
    assert set(content(here)) == FILES.keys() - TRAVELLING
    undone = run("undo", "../j", cwd=here)
    assert (undone.returncode, undone.stdout) == (0, "restored 4 images and 2 sidecars\n")
    assert snapshot(here) == before
    assert not out.exists()
    again = run("undo", "../j", cwd=here)
    assert (again.returncode, again.stdout) == (0, "../j is undone already\n")
    assert snapshot(here) == before


def test_only_indecent_decisions_count(run: Run, here: Path) -> None:
    verdicts = {"photos/safe.jpg": "indecent", "photos/a.jpg": "safe", "photos/live.heic": "safe"}
    file = decided(here.parent / "decisions.json", here, verdicts)
    before = snapshot(here)
    done = run("apply", "decisions.json", "--move-to", "out")
    assert done.returncode == 0, done.stderr
    assert content(here.parent / "out") == {"photos/safe.jpg": b"safe"}
    (journal,) = file.parent.glob("decisions.move-*.journal.jsonl")
    assert f"to undo: nsfwscan undo {journal.name}\n" in done.stdout
    assert run("undo", journal).returncode == 0
    assert snapshot(here) == before


def test_copies(run: Run, here: Path) -> None:
    before = snapshot(here)
    assert run(*FLAGGED, "--copy-to", "../out", cwd=here).returncode == 0
    out = here.parent / "out"
    assert content(out) == {name: FILES[name] for name in {*TRAVELLING, "photos/raw.xmp"}}
    assert (out / "photos/a.jpg").stat().st_mtime_ns == (here / "photos/a.jpg").stat().st_mtime_ns
    again = run(*FLAGGED[:-1], "../j2", "--copy-to", "../out", cwd=here)
    assert again.stdout == "nothing to do\n"
    assert again.returncode == 0
    assert f"nsfwscan: photos/a.jpg: {out}/photos/a.jpg has the same content" in again.stderr
    (out / "photos/a.jpg").write_bytes(b"edited")
    undone = run("undo", "../j", cwd=here)
    assert undone.returncode == 2
    assert undone.stderr.endswith("photos/a.jpg has changed meanwhile; it stays\n")
    assert undone.stdout == "restored 3 images and 3 sidecars; 1 failed\n"
    assert content(out) == {"photos/a.jpg": b"edited"}
    assert snapshot(here) == before


COPIED = ("apply", "--from", "../r.jsonl", "--flagged", "--journal", "../c", "--copy-to", "../out")


def test_the_undoing_of_a_copy_keeps_the_only_copy(run: Run, here: Path) -> None:
    before = snapshot(here)
    assert run(*COPIED, cwd=here).returncode == 0
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    early = run("undo", "../c", cwd=here)
    assert early.returncode == 2
    assert "it is not what it was; " in early.stderr
    assert "restored 0 images" in early.stdout
    assert content(here.parent / "out" / "photos").keys() >= {"a.jpg", "b/a.jpg"}
    assert run("undo", "../j", cwd=here).returncode == 0
    assert run("undo", "../c", cwd=here).returncode == 0
    assert snapshot(here) == before
    assert not list((here.parent / "out").rglob("*.jpg"))


@pytest.mark.parametrize("change", ["deleted", "changed", "a link to the copy"])
def test_a_copy_stays_if_the_original_is_not_what_it_was(run: Run, here: Path, change: str) -> None:
    assert run(*COPIED, cwd=here).returncode == 0
    original, copy = here / "photos/a.jpg", here.parent / "out/photos/a.jpg"
    original.unlink()
    if change == "changed":
        original.write_bytes(b"other")
    elif change == "a link to the copy":
        original.symlink_to(copy)
    undone = run("undo", "../c", cwd=here)
    assert undone.returncode == 2
    assert f"{copy} stays, the only copy" in undone.stderr
    assert copy.read_bytes() == b"a"


def test_a_moved_file_stays_if_its_place_leads_to_it(run: Run, here: Path) -> None:
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    shutil.rmtree(here / "photos")
    (here / "photos").symlink_to(here.parent / "out" / "photos")
    undone = run("undo", "../j", cwd=here)
    assert undone.returncode == 2
    assert "photos/a.jpg through a link; it stays" in undone.stderr
    assert (here.parent / "out/photos/a.jpg").read_bytes() == b"a"


def test_a_journal_is_that_of_one_report(run: Run, here: Path) -> None:
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    (here / "photos/new.jpg").write_bytes(b"new")
    report(here.parent / "r.jsonl", [record("photos/new.jpg", b"new")])
    again = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert (again.returncode, again.stdout) == (2, "")
    assert "r.jsonl has changed since ../j was written; name another file with" in again.stderr
    assert (here / "photos/new.jpg").exists()


def test_files_beside_a_journal_are_nobodys_but_the_users(run: Run, here: Path) -> None:
    for name in ("j.tmp", "j.lock"):
        (here.parent / name).write_text("precious")
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    assert run("undo", "../j", cwd=here).returncode == 0
    for name in ("j.tmp", "j.lock"):
        assert (here.parent / name).read_text() == "precious"


def test_links(run: Run, here: Path) -> None:
    before = snapshot(here)
    assert run(*FLAGGED, "--link-to", "../out", cwd=here).returncode == 0
    out = here.parent / "out"
    assert (out / "photos/b/a.jpg").readlink() == here / "photos/b/a.jpg"
    assert content(out).keys() == {*TRAVELLING, "photos/raw.xmp"}
    assert run("undo", "../j", cwd=here).returncode == 0
    assert not out.exists()
    assert snapshot(here) == before


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="the trash of freedesktop.org")
def test_trash(run: Run, here: Path) -> None:
    before = snapshot(here)
    home = here.parent / "home"
    (home / "Trash" / "files").mkdir(parents=True)
    (home / "Trash" / "files" / "a.jpg").write_bytes(b"of earlier")
    data = {"XDG_DATA_HOME": str(home)}
    done = run(*FLAGGED, "--trash", cwd=here, environment=data)
    assert done.returncode == 0, done.stderr
    assert set(content(here)) == FILES.keys() - TRAVELLING
    assert len(content(home / "Trash" / "info")) == len(TRAVELLING)
    undone = run("undo", "../j", cwd=here, environment=data)
    assert undone.returncode == 0, undone.stderr
    assert snapshot(here) == before
    assert content(home) == {"Trash/files/a.jpg": b"of earlier"}


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="the trash of freedesktop.org")
def test_what_left_the_trash_is_named(run: Run, here: Path) -> None:
    data = {"XDG_DATA_HOME": str(here.parent / "home")}
    run(*FLAGGED, "--trash", cwd=here, environment=data)
    (here.parent / "home/Trash/files/live.heic").unlink()
    (here / "photos" / "a.jpg").write_bytes(b"another")
    undone = run("undo", "../j", cwd=here, environment=data)
    assert undone.returncode == 2
    assert undone.stderr.splitlines() == [
        f"nsfwscan: cannot undo for {here}/photos/live.heic: it is not in the trash",
        f"nsfwscan: cannot undo for {here}/photos/a.jpg: another file has taken its place",
    ]
    assert undone.stdout == "restored 2 images and 2 sidecars; 2 failed\n"
    assert content(here)["photos/a.jpg"] == b"another"


def test_tags(run: Run, here: Path) -> None:
    tree(here, {"photos/raw.jpg.xmp": RDF, "photos/a.XMP": RDF})
    before = snapshot(here)
    done = run(*FLAGGED, "--tag", "xmp", cwd=here)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tagged 4 images\n")
    changed = {n for n, value in content(here).items() if FILES.get(n) != value}
    assert changed == {
        "photos/raw.jpg.xmp", "photos/a.XMP", "photos/b/a.jpg.xmp", "photos/live.heic.xmp",
    }  # fmt: skip
    assert all(b">indecent<" in content(here)[name] for name in changed)
    (here / "photos/live.heic.xmp").write_bytes(b"changed since")
    undone = run("undo", "../j", cwd=here)
    assert undone.returncode == 2
    assert f"{here}/photos/live.heic.xmp has changed meanwhile; it stays" in undone.stderr
    (here / "photos/live.heic.xmp").unlink()
    assert run("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before


def test_tags_are_removed_only_where_their_images_are(run: Run, here: Path) -> None:
    tree(here, {"photos/raw.jpg.xmp": RDF})
    before = snapshot(here)
    assert run(*FLAGGED, "--tag", "xmp", cwd=here).returncode == 0
    moved = run(*FLAGGED[:-1], "../later", "--move-to", "../out", cwd=here)
    assert moved.returncode == 0, moved.stderr
    early = run("undo", "../j", cwd=here)
    assert early.returncode == 2
    said = f"{here}/photos/a.jpg: it is no longer there; undo first what was done to it later"
    assert said in early.stderr
    assert run("undo", "../later", cwd=here).returncode == 0
    assert run("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before


@pytest.mark.parametrize("action", ["--move-to", "--copy-to", "--link-to", "--trash", "--tag"])
def test_a_dry_run_changes_nothing(run: Run, here: Path, action: str) -> None:
    (here / "photos/a.jpg").write_bytes(b"changed")
    before = snapshot(here.parent)
    value = {"--trash": (), "--tag": ("xmp",)}.get(action, ("../out",))
    done = run(*FLAGGED, action, *value, "--dry-run", cwd=here)
    assert done.returncode == 2
    assert snapshot(here.parent) == before
    skipped = [line.split() for line in done.stdout.splitlines() if line.startswith(" failed")]
    assert skipped[0] == "failed photos/a.jpg it has changed since the scan".split()
    assert any("photos/live.heic" in line for line in done.stdout.splitlines())
    if action != "--tag":  # those of raw.jpg are no XMP
        assert "planned: 3 images" in done.stdout
    assert done.stdout.endswith("; nothing is changed\n")


def test_a_changed_or_missing_file_is_named_and_the_rest_done(run: Run, here: Path) -> None:
    (here / "photos/a.jpg").write_bytes(b"A")
    (here / "photos/live.heic").unlink()
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == [
        "nsfwscan: photos/a.jpg: it has changed since the scan",
        "nsfwscan: photos/live.heic: it is no longer there",
    ]
    assert content(here.parent / "out").keys() == {
        "photos/b/a.jpg", "photos/raw.jpg", "photos/raw.jpg.xmp",
    }  # fmt: skip
    assert content(here)["photos/a.jpg"] == b"A"
    assert content(here)["photos/live.MOV"] == b"moving"


def test_taken_names_get_a_number_and_equal_content_is_dropped(run: Run, here: Path) -> None:
    out = tree(here.parent / "out", {"photos/a.jpg": b"other", "photos/b/a.jpg": b"a in b"})
    before, before_out = snapshot(here), snapshot(out)
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert done.returncode == 0, done.stderr
    assert content(out) == {name: FILES[name] for name in TRAVELLING} | {
        "photos/a.jpg": b"other", "photos/a (2).jpg": b"a",
    }  # fmt: skip
    assert not (here / "photos/b/a.jpg").exists()
    assert run("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before
    assert snapshot(out) == before_out


def test_a_drop_whose_copy_is_gone_is_not_undone(run: Run, here: Path) -> None:
    out = tree(here.parent / "out", {"photos/a.jpg": b"a"})
    run(*FLAGGED, "--move-to", "../out", cwd=here)
    (out / "photos/a.jpg").write_bytes(b"edited")
    undone = run("undo", "../j", cwd=here)
    assert undone.returncode == 2
    assert f"{out}/photos/a.jpg has changed meanwhile; it stays" in undone.stderr
    assert "restored 3 images and 2 sidecars; 1 failed" in undone.stdout


def test_moving_a_folder_into_itself_changes_nothing(run: Run, here: Path) -> None:
    (here / "same").symlink_to("photos")
    names = [*IMAGES, "same/a.jpg"]
    before = snapshot(here)
    reported(here.parent / "r.jsonl", here, *names)
    done = run(*FLAGGED, "--move-to", ".", cwd=here)
    assert done.returncode == 0
    assert "photos/a.jpg: it is there already" in done.stderr
    assert "same/a.jpg: it is listed twice" in done.stderr
    reported(here.parent / "r.jsonl", here, "same/a.jpg")
    assert run(*FLAGGED, "--move-to", ".", cwd=here).returncode == 0
    assert snapshot(here) == before


def test_undo_overwrites_nothing(run: Run, here: Path) -> None:
    run(*FLAGGED, "--move-to", "../out", cwd=here)
    out = here.parent / "out"
    (out / "photos/a.jpg").write_bytes(b"edited")
    (here / "photos/live.heic").write_bytes(b"new")
    (out / "photos/raw.jpg").unlink()
    undone = run("undo", "../j", cwd=here)
    assert undone.returncode == 2
    assert undone.stdout == "restored 1 image and 2 sidecars; 3 failed\n"
    said = f"nsfwscan: cannot undo for {here}/photos/"
    assert undone.stderr.splitlines() == [
        f"{said}raw.jpg: {out}/photos/raw.jpg is no longer there",
        f"{said}live.heic: another file has taken its place; {out}/photos/live.heic stays",
        f"{said}a.jpg: {out}/photos/a.jpg has changed meanwhile; it stays",
    ]
    assert content(out) == {"photos/a.jpg": b"edited", "photos/live.heic": b"live"}
    assert content(here)["photos/live.heic"] == b"new"
    (here / "photos/live.heic").unlink()
    (out / "photos/a.jpg").write_bytes(b"a")
    assert run("undo", "../j", cwd=here).stdout == "restored 2 images; 1 failed\n"
    assert content(here)["photos/live.heic"] == b"live"


@pytest.mark.skipif(os.name == "nt", reason="names that Windows has not")
def test_names_of_any_bytes(run: Run, tmp_path: Path) -> None:
    names = [
        "p/\udcff.jpg",
        "p/line\nbreak.jpg",
        "p/\x1b[31mred.jpg",
        "p/[bold]x[/].jpg",
        "p/-n.jpg",
    ]
    here = tree(
        tmp_path / "here", {name: name.encode("utf-8", "surrogateescape") for name in names}
    )
    before = snapshot(here)
    reported(tmp_path / "r.jsonl", here, *names)
    shown = run(*FLAGGED, "--move-to", "../out", "--dry-run", cwd=here).stdout
    lines = [line.split()[1] for line in shown.splitlines() if line.startswith(" move")]
    assert lines == [
        f"{here}/p/\\xff.jpg", f"{here}/p/line\\nbreak.jpg", f"{here}/p/\\x1b[31mred.jpg",
        f"{here}/p/[bold]x[/].jpg", f"{here}/p/-n.jpg",
    ]  # fmt: skip
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    assert set(content(tmp_path / "out")) == set(names)
    assert run("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before
    if sys.platform != "darwin":
        data = {"XDG_DATA_HOME": str(tmp_path / "home")}
        assert run(*FLAGGED[:-1], "../t", "--trash", cwd=here, environment=data).returncode == 0
        assert not content(here)
        assert run("undo", "../t", cwd=here, environment=data).returncode == 0
        assert snapshot(here) == before


@pytest.mark.skipif(os.name == "nt", reason="the paths are those of POSIX")
def test_paths_with_dots_and_absolute_ones_stay_inside(run: Run, here: Path) -> None:
    outer = tree(here.parent / "outer", {"x.jpg": b"x", "y.jpg": b"y"})
    absolute = str(outer / "y.jpg")
    report(here.parent / "r.jsonl", [record("../outer/x.jpg", b"x"), record(absolute, b"y")])
    assert run(*FLAGGED, "--move-to", "out", cwd=here).returncode == 0
    assert content(here / "out") == {"outer/x.jpg": b"x", absolute.removeprefix("/"): b"y"}


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need privileges there")
def test_a_link_in_the_target_does_not_lead_outside(run: Run, here: Path) -> None:
    (here.parent / "elsewhere").mkdir()
    (here.parent / "out").mkdir()
    (here.parent / "out" / "photos").symlink_to("../elsewhere")
    before = snapshot(here)
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert done.returncode == 2
    assert f"a symbolic link in {here.parent}/out leads to {here.parent}/elsewhere" in done.stderr
    assert snapshot(here) == before
    assert not content(here.parent / "elsewhere")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need privileges there")
def test_a_symbolic_link_itself_is_moved_and_its_content_copied(run: Run, here: Path) -> None:
    (here / "photos/link.jpg").symlink_to("../../real.jpg")
    (here.parent / "real.jpg").write_bytes(b"real")
    os.utime(here / "photos/link.jpg", ns=(5, 5), follow_symlinks=False)
    before = snapshot(here)
    report(here.parent / "r.jsonl", [record("photos/link.jpg", b"real")])
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert "photos/link.jpg: is a link; ../../real.jpg, its target, stays" in done.stderr
    moved = here.parent / "out/photos/link.jpg"
    assert moved.readlink() == Path("../../real.jpg")
    assert (here.parent / "real.jpg").read_bytes() == b"real"
    assert run("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before
    assert run(*FLAGGED[:-1], "../j2", "--copy-to", "../out", cwd=here).returncode == 0
    assert not moved.is_symlink()
    assert moved.read_bytes() == b"real"


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need privileges there")
def test_a_link_that_is_moved_leads_to_the_same_file_as_before(run: Run, here: Path) -> None:
    """Also if that file is moved, and if a folder on the way is a link."""
    (here / "photos/b/up").symlink_to("..")
    links = {
        "photos/b/one.jpg": ("../safe.jpg", here / "photos/safe.jpg"),
        "photos/b/by-folder.jpg": ("up/safe.jpg", here / "photos/safe.jpg"),
        "photos/b/moved.jpg": ("../a.jpg", Path("../a.jpg")),
        "photos/absolute.jpg": (f"{here}/photos/a.jpg", here.parent / "out/photos/a.jpg"),
        "photos/chain.jpg": ("b/one.jpg", Path("b/one.jpg")),
        "photos/kept.jpg": (f"{here}/photos/safe.jpg", here / "photos/safe.jpg"),
    }
    for name, (text, _) in links.items():
        (here / name).symlink_to(text)
        os.utime(here / name, ns=(5, 5), follow_symlinks=False)
    before = snapshot(here)
    contents = {name: (here / name).read_bytes() for name in links}
    records = [record(name, content) for name, content in contents.items()]
    report(here.parent / "r.jsonl", [*records, record("photos/a.jpg", b"a")])
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert done.returncode == 0, done.stderr
    out = here.parent / "out"
    assert {name: (out / name).readlink() for name in links} == {
        name: new for name, (_, new) in links.items()
    }
    assert {name: (out / name).read_bytes() for name in links} == contents
    assert {(out / name).lstat().st_mtime_ns for name in links} == {5}
    assert run("undo", "../j", cwd=here).returncode == 0
    assert not out.exists()
    assert snapshot(here) == before


@pytest.mark.skipif(os.name == "nt", reason="needs inodes")
def test_hard_links_stay_links(run: Run, here: Path) -> None:
    (here / "photos/twin.jpg").hardlink_to(here / "photos/a.jpg")
    (here.parent / "out/photos/b").mkdir(parents=True)
    (here.parent / "out/photos/b/a.jpg").hardlink_to(here / "photos/b/a.jpg")
    before = snapshot(here)
    names = ["photos/a.jpg", "photos/twin.jpg", "photos/b/a.jpg"]
    report(here.parent / "r.jsonl", [record(n, (here / n).read_bytes()) for n in names])
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    out = here.parent / "out/photos"
    assert (out / "a.jpg").samefile(out / "twin.jpg")
    assert run("undo", "../j", cwd=here).returncode == 0
    assert snapshot(here) == before
    assert (here / "photos/a.jpg").samefile(here / "photos/twin.jpg")
    assert (here / "photos/b/a.jpg").samefile(out / "b/a.jpg")


def test_a_sidecar_stays_with_an_image_that_stays(run: Run, here: Path) -> None:
    """The image changes between plan and step: a journal is resumed after that."""
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    assert run("undo", "../j", cwd=here).returncode == 0
    kept = [
        line
        for line in (here.parent / "j").read_text().splitlines(keepends=True)
        if "journal" in line or '"op"' in line
    ]
    (here.parent / "j").write_text("".join(kept))  # as if it was killed before the first step
    (here / "photos/live.heic").write_bytes(b"LIVE")
    done = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        f"nsfwscan: cannot move {here}/photos/live.heic: it has changed meanwhile",
        f"nsfwscan: cannot move {here}/photos/live.MOV: its image stays too",
    ]
    assert "moved 3 images and 1 sidecar" in done.stdout
    assert run("undo", "../j", cwd=here).returncode == 0
    assert content(here) == {**FILES, "photos/live.heic": b"LIVE"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "r.jsonl", "--flagged"], "pass one of --move-to, --copy-to"),
        (["--from", "r.jsonl", "--flagged", "--trash", "--tag", "xmp"], "pass one of --move-to"),
        (["--trash"], "pass a decisions.json, or a report with --from and --flagged"),
        (["d.json", "--from", "r.jsonl", "--flagged", "--trash"], "pass a decisions.json, or a"),
        (["--from", "r.jsonl", "--trash"], "pass --from and --flagged together"),
        (["d.json", "--flagged", "--trash"], "pass --from and --flagged together"),
        (["none.json", "--trash"], "cannot read none.json: No such file or directory"),
        (
            ["--from", "r.jsonl", "--flagged", "--copy-to", "out"],
            "none of the 4 images is there, such as {here}/photos/a.jpg; run this in the folder",
        ),
        (
            ["--from", "r.jsonl", "--flagged", "--copy-to", "r.jsonl/x", "--base", "here"],
            "cannot write into {here}/r.jsonl/x: {here}/r.jsonl is not a folder",
        ),
        (
            [*COPY, "--journal", "r.jsonl"],
            "r.jsonl is not a journal of nsfwscan apply",
        ),
        (
            [*COPY, "--journal", "no/j"],
            "cannot write no/j: No such file or directory",
        ),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence(
    run: Run, here: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    before = snapshot(tmp_path)
    done = run("apply", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"nsfwscan: {said.format(here=tmp_path)}")
    assert snapshot(tmp_path) == before


def test_a_journal_serves_one_command_until_it_is_undone(run: Run, here: Path) -> None:
    assert run(*FLAGGED, "--move-to", "../out", cwd=here).returncode == 0
    resumed = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert (resumed.returncode, resumed.stdout.partition(" into ")[0]) == (
        0, "moved 4 images and 2 sidecars",
    )  # fmt: skip
    other = run(*FLAGGED, "--move-to", "../out2", cwd=here)
    assert other.returncode == 2
    assert "../j is the journal of another command: move " in other.stderr
    assert run("undo", "../j", cwd=here).returncode == 0
    again = run(*FLAGGED, "--move-to", "../out", cwd=here)
    assert again.returncode == 2
    assert "../j is undone; name another file with --journal" in again.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]\n",
        '{"journal": 1}\n',
        '{"journal": 1, "token": "x"}\nx\n',
        "\0\n",
        "[" * 9**5,
    ],
)
def test_what_is_no_journal_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "j").write_text(text)
    done = run("undo", "j")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nsfwscan: j is not a journal of nsfwscan apply\n"


@pytest.mark.parametrize(
    ("absent", "action"), [("send2trash", ["--trash"]), ("lxml", ["--tag", "xmp"])]
)
def test_a_missing_extra_is_one_sentence(
    run: Run, here: Path, absent: str, action: list[str]
) -> None:
    before = snapshot(here.parent)
    program = lacking("nsfwscan", absent)
    done = run("-c", program, *FLAGGED, *action, cwd=here, program="python")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f'nsfwscan: this needs {absent}, which is not installed: pip install "nsfwscan[review]"\n'
    )
    assert snapshot(here.parent) == before
    moved = run("-c", program, *FLAGGED, "--move-to", "../out", cwd=here, program="python")
    assert moved.returncode == 0, moved.stderr


def test_images_are_never_changed_by_tagging(run: Run, here: Path) -> None:
    digests = {n: hashlib.sha256(value).hexdigest() for n, value in content(here).items()}
    (here / "photos/raw.jpg.xmp").write_bytes(b"<!DOCTYPE a><a/>")
    done = run(*FLAGGED, "--tag", "xmp", cwd=here)
    assert done.returncode == 2
    assert "photos/raw.jpg: its sidecar declares a document type" in done.stderr
    now = content(here)
    assert {n: hashlib.sha256(now[n]).hexdigest() for n in IMAGES} == {
        n: digests[n] for n in IMAGES
    }
    assert now["photos/raw.jpg.xmp"] == b"<!DOCTYPE a><a/>"


def test_json_reports_are_read_too(run: Run, here: Path) -> None:
    records = [json.loads(line) for line in (here.parent / "r.jsonl").read_text().splitlines()]
    (here.parent / "r.jsonl").write_text(json.dumps(records))
    done = run(*FLAGGED, "--copy-to", "../out", cwd=here)
    assert done.stdout.startswith("copied 4 images and 3 sidecars into ")


def test_the_commands_of_the_guide_work(run: Run, tmp_path: Path) -> None:
    """Run those of review.md."""
    (block,) = (
        block for block in all_blocks(ROOT / "docs" / "review.md") if "test_apply" in block.note
    )
    commands = [command.removeprefix("nsfwscan ") for command in block.commands()]
    shutil.copytree(PHOTOS, tmp_path / "photos", ignore=lambda _, names: {*names} - {"logo.png"})
    (tmp_path / "nsfwscan.toml").write_text("threshold = 0\n")
    before = snapshot(tmp_path / "photos")
    codes = [run(*shlex.split(command)).returncode for command in commands]
    assert codes == [1, 0, 0, 0]
    assert snapshot(tmp_path / "photos") == before
