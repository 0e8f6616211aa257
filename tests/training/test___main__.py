import subprocess
import sys

from nsfwtrain.variants import VARIANTS


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "nsfwtrain", "variants"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(VARIANTS) + 1
