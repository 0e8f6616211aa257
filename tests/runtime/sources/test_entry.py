import errno
import io
import os
import stat
from pathlib import Path

import pytest

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import Entry, problem_of, special_file, stamp_of


@pytest.mark.parametrize(
    ("error", "named", "reason"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), False, Reason.VANISHED),
        (FileNotFoundError(errno.ENOENT, "x"), True, Reason.NOT_FOUND),
        (NotADirectoryError(errno.ENOTDIR, "x"), True, Reason.NOT_FOUND),
        (PermissionError(errno.EACCES, "x"), True, Reason.UNREADABLE),
        (OSError(errno.EIO, "Input/output error"), False, Reason.UNREADABLE),
        (OSError(errno.ELOOP, "x"), False, Reason.DANGLING_LINK),
        (ValueError("embedded null byte"), True, Reason.NOT_FOUND),
    ],
)
def test_system_errors_have_a_reason(
    tmp_path: Path, error: OSError | ValueError, named: bool, reason: Reason
) -> None:
    path = str(tmp_path / "a")
    problem = problem_of(path, error, explicit=named)
    assert (problem.location, problem.reason) == (path, reason)
    assert problem.detail


def test_a_url_is_no_path() -> None:
    error = FileNotFoundError(errno.ENOENT, "x")
    for url in ("https://example.org/a.jpg", "http:/example.org/a.jpg", "s3://bucket/a.jpg"):
        assert "only a scan reads URLs" in problem_of(url, error, explicit=True).detail
    for path in ("c:/a.jpg", "a:b/c.jpg", "/tmp/a://b", "https:///x"):
        assert problem_of(path, error, explicit=True).detail == "no such file or folder"


def test_a_dangling_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    error = FileNotFoundError(errno.ENOENT, "x")
    assert problem_of(str(tmp_path / "a"), error, explicit=True).reason is Reason.DANGLING_LINK


def test_the_type_of_a_special_file_is_reported() -> None:
    assert special_file("p", stat.S_IFIFO).detail == "a named pipe, which is never opened"
    assert special_file(os.devnull, Path(os.devnull).stat().st_mode).reason is Reason.SPECIAL_FILE


def test_the_address_of_a_file_does_not_depend_on_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Entry("a.jpg").address == Entry(str(tmp_path / "a.jpg")).address
    monkeypatch.chdir("/")
    assert Entry("a.jpg").address != Entry(str(tmp_path / "a.jpg")).address


def test_a_missing_or_too_large_file_has_no_stamp(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    assert Entry(str(path)).stamp(4) == stamp_of(path.stat())
    assert Entry(str(path)).stamp(3) is None
    assert Entry(str(tmp_path / "b")).stamp(4) is None
    assert Entry("a\0b").stamp(4) is None


def test_an_explicit_link_has_the_stamp_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("a")
    target = stamp_of((tmp_path / "a").stat())
    assert Entry(str(tmp_path / "link"), explicit=True).stamp(99) == target
    assert Entry(str(tmp_path / "link")).stamp(99) != target


def test_an_entry_that_is_not_a_file_has_no_stamp_and_keeps_its_location(tmp_path: Path) -> None:
    entry = Entry("-", explicit=True, open=lambda: io.BytesIO(b"x"))
    assert (entry.address, entry.stamp(99)) == ("-", None)
