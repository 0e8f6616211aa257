from pathlib import Path

from conftest import Run
from helpers import mean_model

from nsfwscan import Manifest, Preprocess
from nsfwscan.modelfile import default_model_path

OURS = Manifest(name="mean", preprocess=Preprocess(size=8))


def test_check_passes_a_model_of_ours(run: Run, tmp_path: Path) -> None:
    mean_model(tmp_path / "m.onnx", OURS)
    done = run("check", "m.onnx", program="nsfwexport")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "m.onnx: one self-contained model file, as it should be\n"


def test_check_names_what_does_not_hold(run: Run) -> None:
    done = run("check", default_model_path(), program="nsfwexport")
    assert done.returncode == 1
    assert "the manifest is not embedded in the file but built in" in done.stdout


def test_what_is_no_model_is_one_sentence(run: Run) -> None:
    done = run("check", "gone.onnx", program="nsfwexport")
    assert done.returncode == 2
    assert done.stderr == "nsfwexport: cannot read the model gone.onnx: No such file or directory\n"
