import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import Selection
from nsfwscan.errors import InputError, Reason
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.walk import discover, read_list

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file types")


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(root: Path, selection: Selection | None = None) -> dict[str, Found]:
    entries = list(discover([root], selection or Selection()))
    names = [os.path.relpath(entry.location, root) for entry in entries]
    assert len(set(names)) == len(names), "an entry was found twice"
    return dict(zip(names, entries, strict=True))


def candidates(root: Path, selection: Selection | None = None) -> list[str]:
    return [name for name, e in found(root, selection).items() if isinstance(e, Entry)]


def kind(entry: Found) -> Kind:
    assert isinstance(entry, Skipped)
    return entry.kind


def test_folders_are_walked_in_a_stable_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/z.jpg", "a/b/c.jpg", "c.jpg", "z/a.jpg")
    assert candidates(tmp_path) == ["b.jpg", "c.jpg", "a/z.jpg", "a/b/c.jpg", "z/a.jpg"]


def test_paths_keep_their_given_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/b.jpg")
    monkeypatch.chdir(tmp_path)
    for given_path, expected in ((".", "./a/b.jpg"), ("a/", "a/b.jpg"), ("./a/b.jpg", "./a/b.jpg")):
        assert [entry.location for entry in discover([given_path], Selection())] == [expected]


def test_hidden_entries_are_skipped_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, ".a.jpg", ".git/b.jpg", "c.jpg")
    entries = found(tmp_path)
    assert kind(entries[".a.jpg"]) is Kind.HIDDEN_FILE
    assert kind(entries[".git"]) is Kind.HIDDEN_FOLDER
    assert candidates(tmp_path, Selection(hidden=True)) == [".a.jpg", "c.jpg", ".git/b.jpg"]


def test_explicit_paths_are_scanned_even_if_hidden(tmp_path: Path) -> None:
    touch(tmp_path, ".dir/.a.jpg", ".dir/b.jpg")
    given = [tmp_path / ".dir" / ".a.jpg", tmp_path / ".dir"]
    paths = [entry.location for entry in discover(given, Selection()) if isinstance(entry, Entry)]
    assert [Path(path).name for path in paths] == [".a.jpg", "b.jpg"]


def test_the_depth_is_limited(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "a/2.jpg", "a/b/3.jpg")
    assert candidates(tmp_path, Selection(max_depth=1)) == ["1.jpg"]
    assert candidates(tmp_path, Selection(max_depth=2)) == ["1.jpg", "a/2.jpg"]
    assert kind(found(tmp_path, Selection(max_depth=2))["a/b"]) is Kind.DEEPER_FOLDER


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        (["*.jpg"], ["a.jpg", "x/b.jpg", "x/y/c.jpg"]),
        (["!*.jpg"], ["a.png"]),
        (["*.jpg", "!x/"], ["a.jpg"]),
        (["*.jpg", "!y/"], ["a.jpg", "x/b.jpg"]),
        (["x/*.jpg"], ["x/b.jpg"]),
        (["/x/**"], ["x/b.jpg", "x/y/c.jpg"]),
        (["*", "!*.jpg", "b.jpg"], ["a.png", "x/b.jpg"]),
    ],
)
def test_globs_select_files(tmp_path: Path, glob: list[str], expected: list[str]) -> None:
    touch(tmp_path, "a.jpg", "a.png", "x/b.jpg", "x/y/c.jpg")
    assert candidates(tmp_path, Selection(glob=glob)) == expected


def test_an_ignore_file_applies_to_its_folder_and_below(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.jpg", "a.png", "x/a.jpg", "x/a.png", "x/y/a.jpg", "thumbs/1.jpg", "x/t/1.jpg"
    )
    (tmp_path / ".nsfwscanignore").write_text("# no thumbnails\nthumbs/\n*.png\n")
    (tmp_path / "x" / ".nsfwscanignore").write_text("!a.png\n/y/\n")
    assert candidates(tmp_path) == ["a.jpg", "x/a.jpg", "x/a.png", "x/t/1.jpg"]
    entries = found(tmp_path)
    assert kind(entries["a.png"]) is Kind.IGNORED_FILE
    assert kind(entries["thumbs"]) is Kind.IGNORED_FOLDER
    assert kind(entries["x/y"]) is Kind.IGNORED_FOLDER
    assert "thumbs/1.jpg" in candidates(tmp_path, Selection(ignore=False))


def test_an_invalid_pattern_is_reported_and_the_others_apply(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / ".nsfwscanignore").write_text("!\na.jpg\n!\n")
    entries = found(tmp_path)
    problem = (
        entries[".nsfwscanignore"] if isinstance(entries[".nsfwscanignore"], Problem) else None
    )
    assert candidates(tmp_path) == ["b.jpg"]
    assert problem is not None
    assert problem.reason is Reason.CORRUPT
    assert "line 1" in problem.detail


@posix_only
def test_links_are_not_followed_unless_explicit(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "scan/b.jpg")
    root = tmp_path / "scan"
    (root / "file").symlink_to(tmp_path / "real" / "a.jpg")
    (root / "folder").symlink_to(tmp_path / "real")
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (root / "loop").symlink_to(root / "loop")
    entries = found(root)
    assert candidates(root) == ["b.jpg"]
    assert kind(entries["file"]) is kind(entries["folder"]) is Kind.LINK
    for name in ("gone.jpg", "loop"):
        entry = entries[name]
        assert isinstance(entry, Problem)
        assert entry.reason is Reason.DANGLING_LINK
    given = discover([root / "folder", root / "file"], Selection())
    assert [entry.location for entry in given] == [f"{root}/file"]  # the same file, once


@posix_only
def test_pipes_sockets_and_devices_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        entries = found(tmp_path)
    reasons = {name: (e.reason, e.detail) for name, e in entries.items() if isinstance(e, Problem)}
    assert reasons["pipe"] == (Reason.SPECIAL_FILE, "a named pipe, which is never opened")
    assert reasons["socket"][0] is Reason.SPECIAL_FILE
    (device,) = discover(["/dev/null"], Selection())
    assert device == Problem("/dev/null", Reason.SPECIAL_FILE, "a device, which is never opened")


def test_missing_paths_are_problems(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    given = [tmp_path / "gone", tmp_path / "a.jpg" / "below", "nul\0byte", tmp_path / "a.jpg"]
    entries = list(discover([*map(str, given)], Selection()))
    assert [getattr(entry, "reason", None) for entry in entries] == [
        Reason.NOT_FOUND, Reason.NOT_FOUND, Reason.NOT_FOUND, None,
    ]  # fmt: skip


@posix_only
def test_a_folder_without_permission_is_a_problem(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    touch(open_folder, "open/a.jpg", "shut/b.jpg")
    (open_folder / "shut").chmod(0)
    with unprivileged():
        entries = found(open_folder)
    (open_folder / "shut").chmod(0o700)
    assert entries["shut"] == Problem(
        str(open_folder / "shut"), Reason.UNREADABLE, "permission denied"
    )
    assert "open/a.jpg" in entries


def test_overlapping_paths_yield_each_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/b/2.jpg", "a/b/3.jpg")
    os.link(tmp_path / "a/1.jpg", tmp_path / "a/same-bytes.jpg")
    paths = [tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/2.jpg", f"{tmp_path}/a/../a/1.jpg"]
    names = [Path(entry.location).name for entry in discover([*map(str, paths)], Selection())]
    assert sorted(names) == ["1.jpg", "2.jpg", "3.jpg", "same-bytes.jpg"]


@posix_only
def test_a_thousand_levels_are_walked(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1000):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    try:
        assert len(candidates(tmp_path)) == 1
    finally:  # shutil.rmtree recurses and cannot remove it
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_of_any_bytes_are_found(tmp_path: Path) -> None:
    for name in (b"new\nline.jpg", b"latin-\xe9.jpg", b"esc\x1b[2J.jpg"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"x")
    assert len(candidates(tmp_path)) == 3


names = st.binary(min_size=1).filter(lambda name: b"\0" not in name)


@given(st.lists(names))
def test_a_nul_terminated_list_keeps_every_byte(listed: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(name + b"\0" for name in listed))
    assert [os.fsencode(path) for path in read_list(stream, null=True)] == listed


def test_a_list_is_read_by_lines() -> None:
    stream = io.BytesIO(b"a.jpg\r\n\n b.jpg \nc\xff.jpg")
    assert list(read_list(stream, null=False)) == ["a.jpg", " b.jpg ", "c\udcff.jpg"]


def test_a_list_longer_than_the_buffer_is_read() -> None:
    listed = [f"{i:060}" for i in range(5000)]
    assert list(read_list(io.BytesIO("\n".join(listed).encode()), null=False)) == listed


def test_an_invalid_character_range_is_not_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / ".nsfwscanignore").write_text("[z-a]\na.jpg\n")
    assert candidates(tmp_path) == ["b.jpg"]
    assert isinstance(found(tmp_path)[".nsfwscanignore"], Problem)
    with pytest.raises(InputError, match="matches nothing"):
        Selection(glob=["[z-a]"])


def test_one_entry_of_an_ignored_folder_can_be_selected(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/keep.jpg")
    (tmp_path / ".nsfwscanignore").write_text("x/**\n!x/keep.jpg\n")
    assert candidates(tmp_path) == ["x/keep.jpg"]
    (tmp_path / ".nsfwscanignore").write_text("x/\n!x/keep.jpg\n")
    assert candidates(tmp_path) == []  # as in git: the folder itself is ignored


def test_a_later_glob_overrides_an_excluded_folder(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/keep.jpg", "b.jpg")
    assert candidates(tmp_path, Selection(glob=["*.jpg", "!x/", "x/keep.jpg"])) == [
        "b.jpg", "x/keep.jpg",
    ]  # fmt: skip


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / ".nsfwscanignore").write_text("a.jpg\r\n", encoding="utf-8-sig", newline="")
    assert candidates(tmp_path) == ["b.jpg"]
    assert list(read_list(io.BytesIO(b"\xef\xbb\xbfa.jpg\n"), null=False)) == ["a.jpg"]


def test_a_missing_path_does_not_hide_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    for bad, good in (("", "."), ("a.jpg/", "a.jpg"), ("gone/../a.jpg", "a.jpg")):
        for order in ([bad, good], [good, bad], [bad, good, bad]):
            entries = list(discover(order, Selection()))
            assert len(entries) == 2
            assert sum(isinstance(entry, Problem) for entry in entries) == 1


FOLLOW = Selection(follow=True)


@posix_only
def test_links_are_followed_if_asked_to(tmp_path: Path) -> None:
    """As in git-annex, DVC, and what `nsfwtrain link` makes."""
    root = tmp_path / "root"
    touch(root, ".git/annex/1.jpg", "own.jpg")
    touch(tmp_path, "store/2.jpg", "store/deep/3.jpg")
    (root / "a.jpg").symlink_to(root / ".git/annex/1.jpg")
    (root / "b").symlink_to(tmp_path / "store")
    assert candidates(root) == ["own.jpg"]
    entries = found(root, FOLLOW)
    assert [name for name, e in entries.items() if isinstance(e, Entry)] == [
        "a.jpg", "own.jpg", "b/2.jpg", "b/deep/3.jpg",
    ]  # fmt: skip
    link = entries["a.jpg"]
    assert isinstance(link, Entry)
    assert link.follows
    assert not link.explicit
    assert link.stamp(9) is not None


@posix_only
@pytest.mark.parametrize("order", ["az", "za"])
def test_what_links_lead_to_is_found_once(tmp_path: Path, order: str) -> None:
    root, first, last = tmp_path / "root", *order
    touch(root, "m/own.jpg")
    touch(tmp_path, "store/deep/1.jpg", "store/2.jpg")
    links = {
        f"{first}loop": root, f"{last}up": tmp_path / "root/m", f"{first}own": root / "m/own.jpg",
        f"{first}1": tmp_path / "store/deep/1.jpg", f"{last}1": tmp_path / "store/deep/1.jpg",
        f"{last}deep": tmp_path / "store/deep", f"{first}store": tmp_path / "store",
        f"m/{last}store": tmp_path / "store",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    (tmp_path / "store/back").symlink_to(root)
    found_files = [os.path.realpath(root / name) for name in candidates(root, FOLLOW)]
    wanted = [root / "m/own.jpg", tmp_path / "store/deep/1.jpg", tmp_path / "store/2.jpg"]
    assert sorted(found_files) == sorted(map(str, wanted))


@posix_only
def test_followed_links_obey_the_selection(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(root, "x.png")
    touch(tmp_path, "store/1.jpg", "store/deep/2.jpg")
    (root / ".hidden").symlink_to(tmp_path / "store")
    (root / "no").symlink_to(tmp_path / "nowhere")
    (root / "self").symlink_to(root / "self")
    entries = found(root, FOLLOW)
    assert kind(entries[".hidden"]) is Kind.HIDDEN_FOLDER
    for name in ("no", "self"):
        problem = entries[name]
        assert isinstance(problem, Problem)
        assert problem.reason is Reason.DANGLING_LINK
    (root / "b").symlink_to(tmp_path / "store")
    shallow = found(root, Selection(follow=True, max_depth=2, glob=["*.jpg"]))
    assert kind(shallow["b/deep"]) is Kind.DEEPER_FOLDER
    assert kind(shallow["x.png"]) is Kind.UNSELECTED_FILE
    assert isinstance(shallow["b/1.jpg"], Entry)


@posix_only
def test_an_explicit_link_is_one_entry(tmp_path: Path) -> None:
    touch(tmp_path, "real.jpg", "folder/b.jpg")
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real.jpg")
    entries = list(discover([tmp_path / "folder", tmp_path / "folder" / "link"], Selection()))
    assert [Path(entry.location).name for entry in entries] == ["b.jpg", "link"]


def test_an_unreadable_list_is_an_error() -> None:
    class Broken:
        def read1(self, _size: int, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match="the list of files cannot be read: Input/output error"):
        list(read_list(Broken(), null=False))


def test_a_list_in_another_encoding_or_with_nul_bytes_says_what_to_do() -> None:
    for data, hint in (
        ("a.jpg\n".encode("utf-16"), "it as UTF-8"),
        (b"a.jpg\0b.jpg\0", "give --null"),
        (b"a.jpg\nb.jpg\0", "give --null"),
    ):
        with pytest.raises(InputError, match=hint):
            list(read_list(io.BytesIO(data), null=False))
    assert list(read_list(io.BytesIO(b"\xff\xfe\0b\0"), null=True)) == ["\udcff\udcfe", "b"]
