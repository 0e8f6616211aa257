import json

import pytest
from conftest import Run

from nsfwtrain import doctor


@pytest.mark.slow
def test_tensorflow_is_checked(run: Run) -> None:
    done = run("doctor", "-f", "json", program="nsfwtrain")
    assert done.returncode == 0, done.stdout
    found = {one["about"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["TensorFlow"]["said"].startswith("tensorflow 2.21.")
    assert found["a convolution on CPU:0"]["state"] == "ok"


def test_missing_packages_are_named_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: None if "keras" in name else "2.21.0")
    (finding,) = doctor.examine()
    assert (finding.state, finding.said) == ("failed", "not installed: tf-keras")
    assert finding.fix == 'pip install "nsfwscan[train]"'


@pytest.mark.slow
def test_a_missing_gpu_is_exit_code_1(run: Run) -> None:
    done = run("doctor", "--device", "cuda:99", program="nsfwtrain")
    assert done.returncode == 1
    assert done.stdout.endswith("FAILED  a convolution on GPU:99: TensorFlow has no such device\n")
