import subprocess
import sys
from pathlib import Path

import pytest

from nsfwtrain.data.lock import held
from nsfwtrain.errors import FolderError

HOLD = (
    "import sys, time; from pathlib import Path; from nsfwtrain.data.lock import held\n"
    "with held(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


def test_another_process_is_named_until_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "b0"
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(FolderError) as caught, held(folder):
            pass
        start = f"{folder} is in use by process {other.pid} on "
        assert str(caught.value).startswith(start)
        assert str(caught.value).endswith("; wait for its end, or choose another folder")
        other.kill()
    with held(folder):
        pass


def test_a_folder_is_free_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            held(tmp_path),
            pytest.raises(FolderError, match="is in use by process"),
            held(tmp_path),
        ):
            pass
    with pytest.raises(ValueError, match="mine"), held(tmp_path):
        raise ValueError("mine")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_folder_in_which_nothing_was_done(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "b0"
    with pytest.raises(ValueError, match="refused"), held(folder):
        raise ValueError("refused")
    assert not list(tmp_path.iterdir())
    with held(folder):
        (folder / "begun.json").touch()
    assert [path.name for path in folder.iterdir()] == ["begun.json"]
    with pytest.raises(ValueError, match="refused"), held(folder / "evaluations" / "a"):
        raise ValueError("refused")
    assert [path.name for path in folder.iterdir()] == ["begun.json"]


def test_an_unusable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(FolderError, match=r"cannot use the folder .*file: File exists"),
        held(tmp_path / "file"),
    ):
        pass
    (tmp_path / ".lock").mkdir()
    with pytest.raises(FolderError, match=r"cannot lock .*; check the disk"), held(tmp_path):
        pass
