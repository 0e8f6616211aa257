import json

from conftest import Run


def test_tensorflow_is_examined(run: Run) -> None:
    done = run("doctor", "-f", "json", program="nsfwtrain")
    assert done.returncode == 0, done.stdout
    found = {one["about"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["TensorFlow"]["said"].startswith("tensorflow 2.21.")
    assert found["a convolution on CPU:0"]["state"] == "ok"
