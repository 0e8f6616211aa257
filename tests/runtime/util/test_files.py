import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from nsfwscan import OutputError
from nsfwscan.util.files import (
    atomic_path,
    atomic_write,
    check_local,
    check_output,
    check_outputs,
    is_temporary,
)

posix = pytest.mark.skipif(os.name == "nt", reason="needs links, modes and limits of POSIX")


def write(target: Path, content: str) -> None:
    with atomic_write(target) as out:
        out.write(content)


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Make the system refuse to write more to any file, as on a full disk."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_complete_or_unchanged(target: Path) -> None:
    with suppress(ZeroDivisionError), atomic_write(target) as out:
        out.write("half")
        out.flush()
        raise ZeroDivisionError
    assert target.read_text() == "before"
    with atomic_write(target) as out:
        out.write("all\n")
        assert target.read_text() == "before"
    assert target.read_bytes() == b"all\n"


def test_a_stream_is_visible_while_it_is_written(target: Path) -> None:
    with atomic_write(target, stream=True) as out:
        out.write("one")
        out.flush()
        assert target.read_text() == "one"


def test_a_device_or_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with atomic_write(pipe) as out:
            out.write("x")
        assert os.read(reader, 10) == b"x"
        with atomic_write(Path(f"/dev/fd/{os.dup(1)}") if Path("/dev/fd").exists() else pipe):
            pass
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@posix
def test_a_symbolic_link_is_preserved(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as out:
        out.write("all")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "all"


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_the_mode_of_the_old_file_is_kept(target: Path, mode: int) -> None:
    target.chmod(mode)
    before = target.stat()
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
    assert target.stat().st_mode & 0o7777 == mode
    assert target.stat().st_ino != before.st_ino
    assert target.stat().st_mtime_ns > before.st_mtime_ns


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root")
def test_the_owner_of_the_old_file_is_kept(target: Path) -> None:
    os.chown(target, 65534, 65533)
    write(target, "new")
    assert (target.stat().st_uid, target.stat().st_gid) == (65534, 65533)


@posix
@pytest.mark.parametrize("content", ["", "new", "as long as the old content, and longer"])
def test_a_hard_link_is_preserved(tmp_path: Path, content: str) -> None:
    (tmp_path / "one").write_text("before")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    write(tmp_path / "two", content)
    assert (tmp_path / "one").samefile(tmp_path / "two")
    assert (tmp_path / "one").read_text() == content


@posix
def test_a_writable_file_in_a_folder_that_is_not_is_written_in_place(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    file = open_folder / "report"
    file.write_text("before")
    file.chmod(0o666)
    open_folder.chmod(0o555)
    with unprivileged():
        check_output(file)
        write(file, "new")
        with pytest.raises(OutputError, match=r"cannot write .*: Permission denied"):
            check_output(open_folder / "other")
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o666
    open_folder.chmod(0o755)


@posix
def test_a_read_only_file_is_refused(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    open_folder.chmod(0o777)
    (open_folder / "report").touch(0o444)
    with unprivileged(), pytest.raises(OutputError, match=r"cannot write .*: Permission denied"):
        check_output(open_folder / "report")


@posix
def test_a_full_disk_leaves_the_old_content(target: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot write .*report: File too large"),
        disk_full_at(1000),
    ):
        write(target, "x" * 5000)
    assert target.read_text() == "before"


@posix
def test_a_full_disk_leaves_the_old_content_of_a_file_that_cannot_be_replaced(
    tmp_path: Path,
) -> None:
    (tmp_path / "report").write_text("before")
    (tmp_path / "twin").hardlink_to(tmp_path / "report")

    def write_when_the_disk_is_full_at_the_end() -> None:
        with ExitStack() as disk, atomic_path(tmp_path / "report") as temporary:
            temporary.write_bytes(bytes(5_000_000))
            disk.enter_context(disk_full_at(3_000_000))

    with pytest.raises(OutputError, match=r"cannot write .*: File too large"):
        write_when_the_disk_is_full_at_the_end()
    assert (tmp_path / "twin").read_text() == "before"


@pytest.mark.parametrize(
    ("name", "why"),
    [("gone/report", "there is no folder"), (".", "it is a folder"), ("", "it is a folder")],
)
def test_an_unwritable_target_is_named(tmp_path: Path, name: str, why: str) -> None:
    with (
        pytest.raises(OutputError, match=rf"cannot write .*: {why}"),
        atomic_write(tmp_path / name),
    ):
        pass
    with pytest.raises(OutputError, match=rf"cannot write .*: {why}"):
        check_output(tmp_path / name)


@posix
def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match=r"cannot write .*loop: "):
        check_output(tmp_path / "loop")


@pytest.mark.parametrize("url", ["s3://bucket/a.csv", "HTTPS://host/a", "gs:/b"])
def test_a_url_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    for check in (check_output, lambda path: check_outputs(path, ["a"]), check_local):
        with pytest.raises(OutputError, match="nothing is written to URLs; name a file or folder"):
            check(Path(url))
    assert not list(tmp_path.iterdir())
    path = Path(url)
    path.parent.mkdir(parents=True)
    check_output(path)  # a folder of this name exists


def test_a_check_changes_nothing(target: Path) -> None:
    before = target.stat()
    check_output(target)
    check_output(target.with_name("new"))
    assert target.read_text() == "before"
    assert target.stat().st_mtime_ns == before.st_mtime_ns


@posix
def test_an_input_is_refused_by_any_name(tmp_path: Path) -> None:
    read = tmp_path / "folder" / "list"
    read.parent.mkdir()
    read.touch()
    (tmp_path / "soft").symlink_to(read)
    (tmp_path / "hard").hardlink_to(read)
    for target in (read, tmp_path / "soft", tmp_path / "hard"):
        with pytest.raises(OutputError, match="list is an input; name another file"):
            check_output(target, [tmp_path / "gone", read])
    with pytest.raises(OutputError, match="folder is an input"):
        check_output(tmp_path / "folder" / "new", [read.parent])
    with read.open() as stream, pytest.raises(OutputError, match="is an input"):
        check_output(read, [stream.fileno()])
    check_output(tmp_path / "other", [read, read.parent])
    check_output(Path(os.devnull), [Path(os.devnull)])
    with pytest.raises(OutputError, match="does not go to standard output; name a file"):
        check_output(Path("-"))


@posix
def test_the_files_of_a_folder_that_does_not_exist_are_checked_where_it_will_be(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    check_outputs(open_folder / "new" / "run", ["one", "two"])
    with unprivileged(), pytest.raises(OutputError, match=r"cannot write .*new: Permission denied"):
        check_outputs(open_folder / "new" / "run", ["one", "two"])
    (open_folder / "two").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*two: it is a folder"):
        check_outputs(open_folder, ["one", "two"])
    assert [path.name for path in open_folder.iterdir()] == ["two"]


def test_a_temporary_folder_is_known_while_it_exists(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.touch()
        assert is_temporary(temporary.parent.name)
    assert not is_temporary(temporary.parent.name)
    assert not is_temporary(".nsfwscan-12345678.tmp")


WRITE = (
    "import sys, time; from pathlib import Path\n"
    "from nsfwscan.util.files import atomic_write\n"
    "with atomic_write(Path(sys.argv[1])) as stream:\n"
    "    stream.write('half'); stream.flush(); print('begun', flush=True); time.sleep(60)\n"
)


def test_what_a_killed_process_left_is_removed_and_nothing_else(target: Path) -> None:
    place = target.parent
    with subprocess.Popen([sys.executable, "-c", WRITE, target], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        (left,) = place.glob(".nsfwscan-*.tmp")
        check_output(target)
        assert (left / target.name).read_text() == "half"  # its process still writes it
        other.kill()
    foreign = [".nsfwscan-12345678.tmp", ".nsfwscan-mine.tmp", "photo.tmp"]
    for name in foreign:
        (place / name).mkdir()
        (place / name / "photo").touch()
    (place / "photo.tmp" / ".nsfwscan-lock").touch()
    check_output(target)
    assert not left.exists()
    for name in foreign:
        assert (place / name / "photo").exists()
        shutil.rmtree(place / name)


def test_the_error_for_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with (
        pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"),
        atomic_write(Path("/dev/full")) as out,
    ):
        out.write("x")
