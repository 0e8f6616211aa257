import json
import shutil
from pathlib import Path

import pytest
from export.conftest import Trained

from nsfwexport import keras
from nsfwexport.errors import ConversionError
from nsfwexport.keras import tf_keras


def test_a_run_is_loaded_with_its_facts(trained: Trained) -> None:
    source = keras.load(trained.run)
    assert (source.variant, source.preprocess.size) == ("b0", 224)
    assert source.training is not None
    assert set(source.training) >= {"split_sha256", "counts", "metrics", "options"}


def test_a_run_is_what_it_says_it_is(trained: Trained) -> None:
    with pytest.raises(ConversionError, match="is a run of b0, not of b3; leave --variant out"):
        keras.load(trained.run, "b3")


def test_what_is_no_run_is_said(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="holds neither a finished training run nor a Saved"):
        keras.load(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    facts = json.loads((run / "run.json").read_text())
    for broken, message in (
        ("{", r"cannot read .*run\.json"),
        ("[]", r"run\.json is no JSON object"),
        ('{"metrics": NaN}', r"cannot read .*run\.json: it holds NaN, which is no number"),
        (json.dumps(facts | {"preprocess": None}), r"does not say how images are prepared"),
        (json.dumps(facts | {"preprocess": {"size": 240}}), "of 240 pixels, the model takes 224"),
    ):
        (run / "run.json").write_text(broken)
        with pytest.raises(ConversionError, match=message):
            keras.load(run)
    (run / "run.json").write_text(json.dumps(facts))
    (run / "model" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ConversionError, match="model does not load"):
        keras.load(run)


def test_a_model_that_takes_something_else_is_said(tmp_path: Path) -> None:
    model = tf_keras.Sequential(
        [tf_keras.Input((8, 8, 3)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(2)]
    )
    model.save(tmp_path / "m", save_format="tf")
    with pytest.raises(ConversionError, match=r"float32 \(None, 8, 8, 3\), float32 \(None, 2\)"):
        keras.load(tmp_path / "m", "b0")
