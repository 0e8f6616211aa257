import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backbones import small_backbone
from labelled import Collection

from nsfwtrain.errors import RunError, VariantError
from nsfwtrain.run.results import read_facts
from nsfwtrain.run.sweep import parse_variants, sweep
from nsfwtrain.variants import VARIANTS


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b0-b7", [row.name for row in VARIANTS]),
        ("b3", ["b3"]),
        ("b0, B2", ["b0", "b2"]),
        ("b0-b2,b1,b7", ["b0", "b1", "b2", "b7"]),
    ],
)
def test_variants_are_chosen_by_name_and_range(text: str, names: list[str]) -> None:
    assert [row.name for row in parse_variants(text)] == names


@pytest.mark.parametrize("text", ["", "b8", "b0-", "b3-b1"])
def test_an_invalid_list_of_variants_is_refused(text: str) -> None:
    with pytest.raises(VariantError):
        parse_variants(text)


@pytest.mark.slow
def test_a_sweep_trains_missing_runs_and_survives_a_failure(
    collection: Collection, tmp_path: Path
) -> None:
    small_backbone(tmp_path / "b0-backbone")
    small_backbone(tmp_path / "b2-backbone", features=1408)
    arguments = [
        "--store", str(collection.store), "--split", str(collection.split),
        "--cache", str(tmp_path / "cache"), "--epochs", "2", "--batch-size", "32",
    ]  # fmt: skip

    def run() -> dict[str, str]:
        chosen = parse_variants("b0-b2")
        pattern = f"{tmp_path}/{{variant}}-backbone"
        return dict(
            sweep(
                chosen,
                tmp_path / "runs",
                arguments,
                recipe="study",
                backbone=pattern,
                say=lambda _line: None,
            )
        )

    assert run() == {"b0-study": "done", "b1-study": "failed", "b2-study": "done"}
    assert (
        read_facts(tmp_path / "runs" / "b2-study")["parameters"]
        == 8 * 8 * 3 * 32 + 32 * 1408 + 1409
    )
    small_backbone(tmp_path / "b1-backbone")
    facts = tmp_path / "runs" / "b2-study" / "run.json"
    facts.write_text(facts.read_text().replace('"interrupted": false', '"interrupted": true'))
    assert run() == {"b0-study": "done before", "b1-study": "done", "b2-study": "done"}
    arguments[-3] = "3"
    with pytest.raises(RunError, match="holds runs of a sweep with other options"):
        run()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        (os.killpg, signal.SIGINT, 130),
        (os.kill, signal.SIGTERM, 143),
        (os.kill, signal.SIGKILL, -9),
    ],
)
def test_an_interrupted_sweep_lets_its_run_save(
    collection: Collection,
    tmp_path: Path,
    send: Callable[[int, int], None],
    number: int,
    code: int,
) -> None:
    """Ctrl-C reaches the sweep and the training, the others only the sweep."""
    command = [
        sys.executable, "-m", "nsfwtrain", "sweep", "--recipe", "study", "--variants", "b0",
        "--out", "runs", "--backbone", collection.backbone, "--store", collection.store,
        "--split", collection.split, "--cache", "cache", "--epochs", "100000",
        "--batch-size", "32",
    ]  # fmt: skip
    with subprocess.Popen(
        list(map(str, command)), cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("epoch 3 "):
                send(child.pid, number)
        assert child.wait() == code
    facts = read_facts(tmp_path / "runs" / "b0-study")
    assert facts["interrupted"]
    assert (tmp_path / "runs" / "b0-study" / "model" / "saved_model.pb").exists()
