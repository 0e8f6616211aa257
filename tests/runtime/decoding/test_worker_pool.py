import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import encoded, load_photo

from nsfwscan.decoding.worker import Worker
from nsfwscan.decoding.worker_pool import acquire, close_idle, keeping, release
from nsfwscan.util.parallel import available_cores


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    close_idle()
    yield
    close_idle()


def test_idle_workers_are_kept_and_ended() -> None:
    close_idle()
    one, other = Worker(), Worker()
    release(one)
    release(other)
    assert acquire() is other
    release(other)
    close_idle()
    assert not one.is_reusable
    assert not other.is_reusable


def test_a_scan_keeps_more_workers_than_cores_until_it_ends() -> None:
    cores = available_cores()
    with keeping(cores + 2):
        workers = [Worker() for _ in range(cores + 2)]
        for worker in workers:
            release(worker)
        assert all(worker.is_reusable for worker in workers)
    assert [worker.is_reusable for worker in workers] == [False, False, *[True] * cores]


def test_a_dead_worker_is_not_acquired_again() -> None:
    worker = acquire()
    os.kill(worker._process.pid, signal.SIGSEGV if os.name != "nt" else signal.SIGTERM)
    worker._process.wait(patience=10)
    release(worker)
    other = acquire()
    assert other is not worker
    assert other.is_reusable
    release(other)
    assert acquire() is other
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_its_own_workers(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(encoded(load_photo("chelsea.png"), "JPEG"))
    code = (
        "import os, sys; from nsfwscan.decoding import worker_pool as p\n"
        "from nsfwscan.decoding.protocol import Digests\n"
        "from nsfwscan.limits import ScanOptions\n"
        "from nsfwscan.sources.entry import Entry\n"
        "one = p.acquire(); pid = one._process.pid; p.release(one); p._idle_lock.acquire()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    other = p.acquire()\n"
        "    ok = other._process.pid != pid\n"
        "    ok &= type(other.read(Entry(sys.argv[1]), ScanOptions())) is Digests\n"
        "    other.close(); os._exit(0 if ok else 1)\n"
        "p._idle_lock.release()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), p.acquire() is one)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, photo],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "0 True\n"
