import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nsfwscan.cli.child import started

COMMAND = """\
import sys, time
from pathlib import Path
try:
    print("ready", flush=True)
    time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    print("ended", flush=True)
    sys.exit(7)
"""
PARENT = """\
import sys
from nsfwscan.cli.child import started
from nsfwscan.cli.termination import install_handlers
install_handlers()
with started("command", ["60"]) as child:
    child.wait()
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a package ``command`` that waits, and ends at a signal as our commands do."""
    (tmp_path / "command").mkdir()
    handlers = "from nsfwscan.cli.termination import install_handlers\ninstall_handlers()\n"
    (tmp_path / "command" / "__main__.py").write_text(handlers + COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("environment")
@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(number: int) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        os.kill(parent.pid, number)
        assert parent.stdout.read() == b"ended\n"  # the child has the other end of this pipe


@pytest.mark.usefixtures("environment")
def test_a_child_that_ends_by_itself_gives_its_output_and_code() -> None:
    with started("command", ["0"], stdout=subprocess.PIPE) as child:
        assert child.communicate()[0] == "ready\n"
    assert child.returncode == 0


@pytest.mark.usefixtures("environment")
def test_the_end_of_the_block_ends_the_child() -> None:
    with started("command", ["60"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    assert child.communicate()[0] == "ended\n"
    assert child.returncode == 7
