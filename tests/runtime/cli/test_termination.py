import os
import signal
import subprocess
import sys
import time

import pytest

from nsfwscan.cli import termination


@pytest.mark.parametrize(("code", "ended"), [("0", 0), ("7", 7), ("None", 0), ("'no'", 1)])
def test_an_immediate_exit_loses_no_output(code: str, ended: int) -> None:
    program = (
        "import sys; from nsfwscan.cli.termination import end_at_once; "
        f"sys.stdout.write('out'); sys.stderr.write('err'); end_at_once({code})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (ended, "out")
    assert done.stderr.startswith("err")


def test_an_interruption_inside_of_c_code_is_unwrapped() -> None:
    request = termination.Terminated(signal.SIGTERM)
    with pytest.raises(termination.Terminated) as raised, termination.unwrapped():
        raise SystemError("<built-in> returned a result with an exception set") from request
    assert raised.value is request
    other = SystemError("bad argument to internal function")
    with pytest.raises(SystemError) as kept, termination.unwrapped():
        raise other
    assert kept.value is other


LOOP = """
import signal, sys, time
from nsfwscan.cli import termination
termination.install_handlers()
try:
    print("ready", flush=True)
    time.sleep(60)
except termination.Terminated as request:
    print("raised", request.number, termination.requested(), flush=True)
    time.sleep(60)
print("went on", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT"), ("SIGINT", "SIGTERM")]
)
@pytest.mark.slow
def test_the_first_signal_raises_and_the_second_ends(first: str, second: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    one, two = (getattr(signal, name) for name in (first, second))
    process.send_signal(one)
    assert process.stdout.readline() == f"raised {one:d} {one:d}\n"
    process.send_signal(two)  # immediately: it belongs to the same request
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    time.sleep(2)
    process.send_signal(two)
    assert (process.wait(timeout=10), process.stdout.read()) == (128 + two, "")
    process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + LOOP.replace(
        "time.sleep(60)", "signal.raise_signal(signal.SIGHUP)", 1
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "ready\nwent on\n")
