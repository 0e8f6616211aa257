"""Run the jobs of scaling.md as their engines do, on one machine."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kubernetes_validate
import pyarrow as pa
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


def test_the_job_is_one_of_kubernetes() -> None:
    found = YAML(typ="safe").load(only("yaml"))
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    found["spec"]["completionmode"] = "Indexed"
    with pytest.raises(kubernetes_validate.ValidationError, match="completionmode"):
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


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


@pytest.mark.slow
def test_the_lines_for_ray_make_a_record_of_each_row(tmp_path: Path) -> None:
    (code,) = (
        b.text
        for b in all_blocks(PAGE)
        if b.note == "run by tests/test_scaling.py" and b.language == "python"
    )
    ours = Manifest(name="redness", preprocess=Preprocess(size=8))
    mean_model(tmp_path / "m.onnx", ours)
    paths = [str(tmp_path / f"{number}.png") for number in range(6)]
    for number, path in enumerate(paths):
        Image.new("RGB", (9, 9), (51 * number, 0, 0)).save(path)
    rows = [*paths, "gone.png"]
    parquet.write_table(pa.table({"path": rows}), tmp_path / "photos.parquet")
    code = code.replace(
        '"threshold": 0.7', f'"threshold": 0.7, "model": {str(tmp_path / "m.onnx")!r}'
    )
    with TemporaryDirectory() as place:  # a short name, for Ray's sockets
        start = (
            "import ray; ray.init(address='local', num_cpus=2, include_dashboard=False,"
            f"object_store_memory=256 << 20, _temp_dir={place!r})\n"
        )
        variables = {
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "ab" * 32,
        }  # fmt: skip
        subprocess.run(
            [sys.executable, "-c", start + code], cwd=tmp_path, env=os.environ | variables,
            check=True, capture_output=True, timeout=240,
        )  # fmt: skip
    found = parquet.read_table(tmp_path / "records")
    assert found["path"].to_pylist() == rows
    assert found["status"].to_pylist() == ["safe"] * 4 + ["flagged"] * 2 + ["error"]
    assert found["score"].to_pylist() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, None]


def test_kubernetes_is_told_the_number_of_shards() -> None:
    spec = job()
    (variable,) = container()["env"]
    assert variable == {"name": "NSFWSCAN_SHARDS", "value": str(spec["completions"])}
    assert spec["completionMode"] == "Indexed"
