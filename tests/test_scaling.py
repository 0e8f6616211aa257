"""Run the jobs of scaling.md as their engines do, on one machine."""

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from documents import ROOT, all_blocks
from helpers import mean_model
from PIL import Image
from pyarrow import parquet
from ruamel.yaml import YAML

from nsfwscan import Manifest, Preprocess

PAGE = ROOT / "docs" / "scaling.md"
COUNT = 2


def only(language: str) -> str:
    (text,) = (block.text for block in all_blocks(PAGE) if block.language == language)
    return text


def job() -> dict[str, Any]:
    spec: dict[str, Any] = YAML(typ="safe").load(only("yaml"))["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = job()["template"]["spec"]["containers"]
    return dict(found)


def slurm(index: int) -> tuple[list[str], dict[str, str]]:
    values = {"ID": index, "MIN": 0, "MAX": COUNT - 1, "STEP": 1, "COUNT": COUNT}
    variables = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}
    return ["bash", "-c", only("bash")], variables


def kubernetes(index: int) -> tuple[list[str], dict[str, str]]:
    *shell, script = container()["command"]
    for folder in ("photos", "parts"):
        assert f"/{folder}" in script
        script = script.replace(f"/{folder}", folder)
    return [*shell, script], {"JOB_COMPLETION_INDEX": str(index), "NSFWSCAN_SHARDS": str(COUNT)}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("task", [slurm, kubernetes])
def test_the_tasks_of_a_job_make_up_a_scan(run: Run, tmp_path: Path, task: Any) -> None:
    ours = Manifest(name="redness", preprocess=Preprocess(size=8), threshold=0.6)
    mean_model(tmp_path / "m.onnx", ours)
    for folder in ("photos", "parts"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        Image.new("RGB", (9, 9), (51 * number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    codes = []
    for index in range(COUNT):
        command, variables = task(index)
        here = os.environ | variables | {"PATH": path, "NSFWSCAN_MODEL": "m.onnx"}
        codes.append(subprocess.run(command, cwd=tmp_path, env=here, check=False).returncode)
    assert codes == [0, 0]
    parts = [f"parts/{index}.parquet" for index in range(COUNT)]
    merged = run("merge", *parts, "-o", "all.parquet")
    assert merged.returncode == 2
    assert merged.stderr == "7 found: 3 safe, 3 flagged, 1 error\n"
    assert parquet.read_metadata(tmp_path / "all.parquet").num_rows == 7


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("task", [slurm, kubernetes])
def test_a_task_fails_that_leaves_no_report(tmp_path: Path, task: Any) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "0.parquet").write_text("of an earlier try")
    command, variables = task(0)
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    here = os.environ | variables | {"PATH": path, "NSFWSCAN_MODEL": "gone.onnx"}
    assert subprocess.run(command, cwd=tmp_path, env=here, check=False).returncode == 1
    assert list((tmp_path / "parts").iterdir()) == []


def test_kubernetes_is_told_the_number_of_shards() -> None:
    spec = job()
    (variable,) = container()["env"]
    assert variable == {"name": "NSFWSCAN_SHARDS", "value": str(spec["completions"])}
    assert spec["completionMode"] == "Indexed"
