import os
from pathlib import Path

import pytest

from nsfwscan.errors import InputError, ModelError
from nsfwscan.util.inputs import open_input

DEVICE = Path("/dev/zero")


@pytest.mark.skipif(not DEVICE.exists(), reason="needs a device that never ends")
def test_a_device_that_never_ends_is_refused() -> None:
    said = "cannot read the model /dev/zero: it is a device; name a file"
    with pytest.raises(ModelError, match=said), open_input(DEVICE, "the model", ModelError):
        pass


def test_the_null_device_and_a_pipe_are_read() -> None:
    with open_input(Path(os.devnull)) as stream:
        assert stream.read() == b""
    reader, writer = os.pipe()
    os.write(writer, b"text")
    os.close(writer)
    with open_input(Path(f"/dev/fd/{reader}")) as stream:
        assert stream.read() == b"text"
    os.close(reader)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^cannot read .*gone: No such file"):
        open_input(tmp_path / "gone").__enter__()
    with pytest.raises(InputError, match=r"^cannot read the list .*: Is a directory$"):
        open_input(tmp_path, "the list").__enter__()
