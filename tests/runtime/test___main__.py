import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from nsfwscan import __version__

SCRIPT = Path(sysconfig.get_path("scripts")) / "nsfwscan"


def test_the_module_runs_the_command() -> None:
    command = [sys.executable, "-m", "nsfwscan", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"nsfwscan {__version__}\n")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_an_early_interruption_prints_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    for command in ([SCRIPT], [sys.executable, "-m", "nsfwscan"]):
        done = subprocess.run(
            [*command, "--help"], capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
