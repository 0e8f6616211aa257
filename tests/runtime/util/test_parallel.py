import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.util.parallel import available_cores, cpu_quota, map_ahead


@given(st.lists(st.integers()), st.integers(1, 4), st.integers(1, 9))
def test_results_are_those_of_map(items: list[int], workers: int, window: int) -> None:
    results = map_ahead(lambda n: n * n, items, workers=workers, window=window)
    assert list(results) == [n * n for n in items]


def test_items_are_consumed_at_most_a_window_ahead() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = map_ahead(str, endless(), workers=2, window=5)
    assert [next(results) for _ in range(10)] == [str(n) for n in range(1, 11)]
    assert taken == 14
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_an_exception_is_raised_in_place_of_its_result() -> None:
    results = map_ahead(lambda n: 1 // n, [1, 0, 1], workers=2, window=3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_at_least_one_core_is_available() -> None:
    assert available_cores() >= 1


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4.0),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "400000 100000\n"}, 0.5),
        ("0::/outside\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        (
            "4:memory:/m\n3:cpu,cpuacct:/docker/x\n",
            {
                "cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000\n",
                "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
                "memory/m/cpu.max": "1 100000\n",
            },
            3.0,
        ),
        (
            "3:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        ("0::/\n", {"cpu.max": "garbage"}, None),
    ],
)
def test_a_container_s_limit_is_read(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float | None
) -> None:
    (tmp_path / "cgroup").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "root") == quota


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "none", tmp_path) is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_taskset_is_respected() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    code += "from nsfwscan.util.parallel import available_cores; print(available_cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
