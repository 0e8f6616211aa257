"""Kill `apply` and `undo` before each change that they make to the file system.

A program of its own, because it forks::

    python -m faults.killed FOLDER ACTION TARGET

FOLDER has ``here/``, ``r.jsonl`` and ``out/``. Each attempt runs in a child process, which an audit
hook of Python ends at its nth change.
"""

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from acted import snapshot

from nsfwscan.reports.results import read_results
from nsfwscan.review import xmp  # noqa: F401 - loaded once, and not by each child
from nsfwscan.review.journal import Header, Journal
from nsfwscan.review.run import apply, revert
from nsfwscan.review.selection import flagged
from nsfwscan.review.steps import Action
from nsfwscan.review.survey import make_plan

CHANGES = {
    "os.link", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.utime",
    "os.chmod", "os.chown", "os.truncate",
}  # fmt: skip
KILLED = -signal.SIGKILL


def do(folder: Path, action: Action, target: str) -> int:
    """Do what `nsfwscan apply --journal` does; give the number of failures."""
    path = folder / "j"
    if path.exists():
        opened = Journal(path)
    else:
        wanted = flagged(read_results(folder / "r.jsonl", print), str(folder / "here"))
        steps = make_plan(wanted, action, target).steps
        opened = Journal.create(path, Header(action=action, input="", folder=target), steps)
    with opened:
        return apply(opened, print).failed


def undo(folder: Path) -> int:
    """Do what `nsfwscan undo` does; give the number of failures."""
    with Journal(folder / "j") as opened:
        return revert(opened, print).failed


def forked(task: Callable[[], int], changes: int | None = None) -> int:
    """Do something in a child process, killed before one change too many; give its exit code."""
    child = os.fork()
    if child == 0:
        left = itertools.count(changes, -1) if changes is not None else itertools.repeat(1)

        def watch(event: str, values: tuple[Any, ...]) -> None:
            writes = event == "open" and isinstance(values[2], int) and values[2] & os.O_ACCMODE
            if (writes or event in CHANGES) and next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 99
        try:
            sys.addaudithook(watch)
            code = task()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tear(journal: Path) -> None:
    """Cut off the half of the last line, as if the kill came while it was written."""
    lines = journal.read_bytes().splitlines(keepends=True)
    if len(lines) > 1 and b'"done"' in lines[-1]:
        journal.write_bytes(b"".join(lines)[: -len(lines[-1]) // 2])


def main(folder: Path, action: Action, target: str) -> None:
    """Kill everywhere, and compare what is left after resuming and undoing."""
    original = folder.parent / "original"
    shutil.copytree(folder, original, symlinks=True)
    is_elsewhere = bool(target) and folder not in Path(target).parents

    def fresh() -> None:
        shutil.rmtree(folder)
        if is_elsewhere:
            shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(original, folder, symlinks=True)

    def state() -> Any:
        for path in (folder / "j", folder / ".j.nsfwscan-lock"):
            path.unlink(missing_ok=True)
        for left in folder.glob(".nsfwscan-*.tmp"):
            shutil.rmtree(left)
        shutil.rmtree(folder / "data", ignore_errors=True)
        seen = snapshot(folder)
        del seen["."]
        return seen, is_elsewhere and Path(target).exists()

    def contents() -> dict[str, bytes]:
        return {name: content for name, (_, _, content) in snapshot(folder / "here").items()}

    def applied() -> int:
        return do(folder, action, target)

    def undone() -> int:
        return undo(folder)

    fresh()
    before = state()
    assert forked(applied) == 0
    after = contents()
    assert forked(undone) == 0
    assert state() == before
    kills, code = 0, KILLED
    endings = (False, False), (True, False), (True, True)
    for changes, (torn, resumes) in itertools.product(range(1000), endings):
        fresh()
        code = forked(applied, changes)
        if code == 0:
            break
        assert code == KILLED, code
        kills += 1
        has_begun = (folder / "j").exists()
        if torn and has_begun:
            tear(folder / "j")
        if resumes or not has_begun:
            assert forked(applied) == 0, changes
            assert contents() == after, changes
        assert forked(undone) == 0, changes
        assert state() == before, (changes, torn, resumes)
    assert code == 0
    for changes in range(1000):
        fresh()
        assert forked(applied) == 0
        code = forked(undone, changes)
        if code == 0:
            break
        assert code == KILLED, code
        kills += 1
        assert forked(undone) == 0, changes
        assert state() == before, changes
    assert code == 0
    print(kills)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]), cast("Action", sys.argv[2]), sys.argv[3])
