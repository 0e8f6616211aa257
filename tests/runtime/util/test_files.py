import os
from contextlib import suppress
from pathlib import Path

import pytest

from nsfwscan import OutputError
from nsfwscan.util.files import atomic_write


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


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_symbolic_link_is_preserved(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as out:
        out.write("all")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "all"


@pytest.mark.parametrize("name", ["gone/report", ".", ""])
def test_an_unwritable_target_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*: "), atomic_write(tmp_path / name):
        pass


def test_the_error_for_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with (
        pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"),
        atomic_write(Path("/dev/full")) as out,
    ):
        out.write("x")
