import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from helpers import lacking

from nsfwtrain.variants import VARIANTS


def test_variants_are_listed(run: Run) -> None:
    done = run("variants", program="nsfwtrain")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in VARIANTS]
    assert "4,050,845" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--help", 0),
        ("variants", 0),
        ("fit b0 --store s --split f --out r", 2),
        ("evaluate r --store s --split f", 2),
        ("report runs", 2),
    ],
)
def test_without_tensorflow_commands_say_what_to_install(
    tmp_path: Path, arguments: str, code: int
) -> None:
    absent = ("tensorflow", "tf_keras", "tensorflow_hub", "matplotlib", "pandas", "sklearn")
    done = subprocess.run(
        [sys.executable, "-c", lacking("nsfwtrain", *absent), *arguments.split()],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == code
    message = re.fullmatch(
        r'nsfwtrain: this needs (\w+), which is not installed: pip install "nsfwscan\[train\]"\n',
        done.stderr,
    )
    assert message[1] in absent if message else (code, done.stderr) == (0, "")
