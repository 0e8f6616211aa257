import json
import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest
from conftest import Run

from nsfwscan import __version__


def test_a_working_machine_exits_0_and_lists_its_findings(run: Run) -> None:
    done = run("doctor", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith(f"ok      nsfwscan: {__version__}")
    assert "FAILED" not in done.stdout
    assert any(line.startswith("ok      inference on cpu: ") for line in lines)


def test_json_contains_the_same_findings(run: Run) -> None:
    found = json.loads(run("doctor", "--device", "cpu", "-f", "json").stdout)
    assert found["ok"] is True
    assert [one["about"] for one in found["findings"]][:3] == ["Python", "nsfwscan", "engine"]


def test_a_requested_device_that_does_not_work_exits_1(run: Run) -> None:
    done = run("doctor", "--device", "cuda:99")
    assert done.returncode == 1
    assert "FAILED  inference on cuda:99: " in done.stdout
    done = run("doctor", "--device", "tpu")
    assert (done.returncode, done.stdout) == (2, "")


def test_an_engine_that_does_not_load_is_reported_with_its_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "onnxruntime.py").write_text(
        "raise ImportError('libgomp.so.1: cannot open shared object file')\n"
    )
    done = run("doctor", environment={"PYTHONPATH": str(tmp_path / "first")})
    assert done.returncode == 1
    assert "FAILED  ONNX Runtime: ONNX Runtime is not usable (libgomp.so.1" in done.stdout
    assert "ok      formats: " in done.stdout


@pytest.mark.parametrize("package", ["numpy", "PIL", "platformdirs", "onnxruntime"])
@pytest.mark.slow
def test_a_broken_package_does_not_end_the_checks(run: Run, tmp_path: Path, package: str) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / f"{package}.py").write_text("raise ZeroDivisionError('broken')\n")
    done = run("doctor", "-f", "json", environment={"PYTHONPATH": str(tmp_path / "first")})
    assert done.returncode == 1
    found = json.loads(done.stdout)["findings"]
    assert found[0]["about"] == "Python"
    assert "broken" in done.stdout
    assert len(found) > 6


@pytest.mark.slow
def test_the_doctor_uses_the_options_of_a_scan(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nsfwscan.toml").write_text(f'cache = "{tmp_path / "c"}"\ndevice = "cuda:99"\n')
    done = run("doctor")
    assert done.returncode == 1
    assert f"ok      cache: {tmp_path / 'c'}, not yet created" in done.stdout
    assert "FAILED  inference on cuda:99: " in done.stdout
    assert "cuda" not in run("doctor", "--device", "cpu").stdout


def test_an_unusable_cache_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = run("doctor", "--cache", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "FAILED  cache: cannot use the cache" in done.stdout


def test_an_engine_without_its_files_has_a_fix(run: Run, tmp_path: Path) -> None:
    (tmp_path / "first" / "onnxruntime").mkdir(parents=True)
    (tmp_path / "first" / "onnxruntime" / "__init__.py").touch()
    done = run("doctor", environment={"PYTHONPATH": str(tmp_path / "first")})
    assert done.returncode == 1
    assert "FAILED  ONNX Runtime: ONNX Runtime is not usable (its folder exists" in done.stdout
    assert "        pip install --force-reinstall --no-deps onnxruntime\n" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("program", ["nsfwscan", "nsfwtrain"])
def test_a_closed_standard_output_is_one_sentence(program: str) -> None:
    script = Path(sysconfig.get_path("scripts")) / program
    command = f"{shlex.quote(str(script))} doctor -f json >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{program}: standard output is closed; ")
