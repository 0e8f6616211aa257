import json
from pathlib import Path

from conftest import Run

from nsfwscan import __version__


def test_a_sound_machine_is_0_and_says_what_it_found(run: Run) -> None:
    done = run("doctor", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith(f"ok      nsfwscan: {__version__}")
    assert "FAILED" not in done.stdout
    assert any(line.startswith("ok      inference on cpu: ") for line in lines)


def test_json_holds_the_same(run: Run) -> None:
    found = json.loads(run("doctor", "--device", "cpu", "-f", "json").stdout)
    assert found["ok"] is True
    assert [one["about"] for one in found["findings"]][:3] == ["Python", "nsfwscan", "engine"]


def test_what_is_asked_for_and_does_not_work_is_1(run: Run) -> None:
    done = run("doctor", "--device", "cuda:99")
    assert done.returncode == 1
    assert "FAILED  inference on cuda:99: " in done.stdout
    done = run("doctor", "--device", "tpu")
    assert (done.returncode, done.stdout) == (2, "")


def test_an_engine_that_does_not_load_is_told_with_its_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "onnxruntime.py").write_text(
        "raise ImportError('libgomp.so.1: cannot open shared object file')\n"
    )
    done = run("doctor", environment={"PYTHONPATH": str(tmp_path / "first")})
    assert done.returncode == 1
    assert "FAILED  ONNX Runtime: ONNX Runtime is not usable (libgomp.so.1" in done.stdout
