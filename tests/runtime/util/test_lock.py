import subprocess
import sys
from pathlib import Path

import pytest

from nsfwscan.util.lock import InUseError, locked

HOLD = (
    "import sys, time; from pathlib import Path; from nsfwscan.util.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)\n"
)
COUNT = (
    "import sys, time; from pathlib import Path\n"
    "from nsfwscan.util.lock import InUseError, locked\n"
    "lock, count = map(Path, sys.argv[1:])\n"
    "done = 0\n"
    "while done < 200:\n"
    "    try:\n"
    "        with locked(lock):\n"
    "            before = int(count.read_text()); count.write_text(str(before + 1))\n"
    "        done += 1\n"
    "    except InUseError:\n"
    "        pass\n"
)


def test_a_lock_is_refused_until_its_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "name with # ? %41 \udce9.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InUseError), locked(path):
            pass
        other.kill()
    with locked(path):
        assert path.exists()
    assert not path.exists()


def test_a_lock_is_held_within_a_process_too(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path), pytest.raises(InUseError), locked(path):
        pass
    assert not path.exists()


def test_a_lock_that_is_deleted_and_created_all_the_time_has_one_holder(tmp_path: Path) -> None:
    lock, count = tmp_path / "lock", tmp_path / "count"
    count.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, lock, count]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert count.read_text() == "600"


def test_a_lock_that_cannot_be_created_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "missing" / "lock"):
        pass
