import subprocess
import sys


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "nsfwexport", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "convert" in done.stdout
