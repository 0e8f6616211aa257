import subprocess
import sys

import pytest

from nsfwtrain.model.keras import hub, tf, tf_keras


def test_hub_layers_are_keras_2_layers() -> None:
    assert issubclass(hub.KerasLayer, tf_keras.layers.Layer)
    assert tf_keras.__version__.startswith("2.")
    assert tf.__version__.startswith("2.")


@pytest.mark.slow
def test_importing_prints_nothing_on_standard_output() -> None:
    command = [sys.executable, "-c", "import nsfwtrain.model.keras"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
