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


def test_another_variant_than_that_of_the_run_is_refused(trained: Trained) -> None:
    with pytest.raises(ConversionError, match="is a run of b0, not of b3; omit --variant"):
        keras.load(trained.run, "b3")


def test_an_invalid_run_is_an_error(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="holds neither a finished training run nor a Saved"):
        keras.load(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    facts = json.loads((run / "run.json").read_text())
    del facts["facts_sha256"]
    for broken, message in (
        ("{", r"cannot read .*run\.json"),
        ("[]", r"run\.json is not a JSON object"),
        ('{"metrics": NaN}', r"cannot read .*run\.json: it holds NaN, which is not valid JSON"),
        (json.dumps(facts | {"preprocess": None}), r"run\.json holds no valid preprocessing"),
        (
            json.dumps(facts | {"preprocess": {"size": 224, "crop": 0.9}}),
            r"run/run\.json: preprocessing has no field crop; a newer version",
        ),
        (json.dumps(facts | {"preprocess": {"size": 240}}), "of 240 pixels, the model takes 224"),
    ):
        (run / "run.json").write_text(broken)
        with pytest.raises(ConversionError, match=message):
            keras.load(run)
    (run / "run.json").write_text(json.dumps(facts))
    (run / "model" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ConversionError, match=r"model is damaged, or is not that of .*run"):
        keras.load(run)
    with pytest.raises(ConversionError, match="model does not load"):
        keras.load(run / "model", "b0")


def test_a_model_with_another_input_or_output_is_refused(tmp_path: Path) -> None:
    model = tf_keras.Sequential(
        [tf_keras.Input((8, 8, 3)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(2)]
    )
    model.save(tmp_path / "m", save_format="tf")
    with pytest.raises(ConversionError, match=r"float32 \(None, 8, 8, 3\), float32 \(None, 2\)"):
        keras.load(tmp_path / "m", "b0")
