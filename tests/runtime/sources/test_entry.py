import errno
import os
import stat
from pathlib import Path

import pytest

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import problem_of, special_file


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
def test_what_the_system_says_has_a_reason(
    tmp_path: Path, error: OSError | ValueError, named: bool, reason: Reason
) -> None:
    path = str(tmp_path / "a")
    problem = problem_of(path, error, named=named)
    assert (problem.path, problem.reason) == (path, reason)
    assert problem.detail


def test_a_link_to_nowhere_is_one(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    error = FileNotFoundError(errno.ENOENT, "x")
    assert problem_of(str(tmp_path / "a"), error, named=True).reason is Reason.DANGLING_LINK


def test_special_files_are_named() -> None:
    assert special_file("p", stat.S_IFIFO).detail == "a named pipe, which is never opened"
    assert special_file(os.devnull, Path(os.devnull).stat().st_mode).reason is Reason.SPECIAL_FILE
