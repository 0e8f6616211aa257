"""Start the commands as real processes, wait for what they do, kill them."""

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

Arguments = str | Path


def start(
    folder: Path, program: str, *arguments: Arguments, own_group: bool = False, **variables: str
) -> "Process":
    """Start a console script in a folder; its streams are pipes.

    With a group of its own, `os.killpg` signals it and its children, as a terminal does.
    """
    script = Path(sysconfig.get_path("scripts")) / program
    return Process(
        [script, *arguments], cwd=folder, env=os.environ | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=own_group,
    )  # fmt: skip


class Process(subprocess.Popen[str]):
    """A process that is waited for, and killed at the end of its block."""

    def wait_until(self, reached: Callable[[], object]) -> None:
        """Wait until the process has reached a point; fail if it ends before."""
        deadline = time.monotonic() + 120
        while not reached():
            assert self.poll() is None, self.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def holds(self, folder: Path) -> bool:
        """Tell whether the process holds a folder."""
        holder = folder / ".lock-holder"
        return holder.exists() and f"process {self.pid} " in holder.read_text()

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return the exit code and what was printed."""
        out, err = self.communicate(timeout=240)
        return self.returncode, out, err

    def __exit__(self, *error: object) -> None:
        """Kill it, if it has not ended."""
        self.kill()
        super().__exit__(*error)  # type: ignore[arg-type]
