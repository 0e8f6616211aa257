"""Whole runs on a local Ray cluster, through the installed console script."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from faults.scans import many, redness
from helpers import lacking
from pyarrow import parquet
from stores import empty_bucket, put_all

import nsfwscan
from nsfwscan import Classifier
from nsfwscan.cluster.folder import LocalFolder, folder_at

pytestmark = pytest.mark.slow

COMMAND = ("cluster", "photos", "--model", "m.onnx", "--block-size", "100", "--frames", "3")


def records(place: Path) -> pa.Table:
    """Read the parts of a result, in the order of the blocks."""
    return pa.concat_tables(
        [parquet.read_table(path) for path in sorted((place / "records").iterdir())]
    )


def command(at: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("nsfwscan")
    return subprocess.run(
        [script, *arguments], cwd=at, env=os.environ | variables, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Run once, in an empty place for temporary files."""
    at = tmp_path_factory.mktemp("cluster")
    redness(at / "m.onnx")
    described = Classifier.load(at / "m.onnx").manifest
    (at / "other.json").write_text(replace(described, name="other").to_json())
    many(at / "photos", 1234)
    (at / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (at / "photos" / "note.txt").write_text("text")
    with TemporaryDirectory() as place:  # a short name
        result = command(at, *COMMAND, "--out", "run1", TMPDIR=place, HOME=place)
        assert list(Path(place).iterdir()) == []
    return at, result


def test_the_records_are_those_of_a_scan(done: tuple[Path, Any]) -> None:
    at, _ = done
    scanned = command(
        at, "photos", "--model", "m.onnx", "--frames", "3", "--no-cache",
        "--format", "parquet", "--output", "local.parquet",
    )  # fmt: skip
    assert scanned.returncode == 2
    assert records(at / "run1") == parquet.read_table(at / "local.parquet")


def test_it_says_what_a_scan_says(done: tuple[Path, Any]) -> None:
    _, result = done
    assert result.returncode == 2
    assert result.stdout == ""
    first, last = result.stderr.splitlines()
    assert first == (
        "nsfwscan: redness on this machine, with Ray, "
        "flagging as indecent from score 0.5 on (its own)"
    )
    counts, _, time = last.partition("; ")
    assert counts == ("1,236 found: 618 safe, 616 flagged, 1 error, 1 skipped (1 text file)")
    assert time.endswith(" s")


def test_success_adds_up(done: tuple[Path, Any]) -> None:
    at, _ = done
    said = json.loads((at / "run1" / "_SUCCESS.json").read_text())
    counts = said["counts"]
    assert counts == {
        "found": 1236, "safe": 618, "flagged": 616, "errors": 1, "skipped": {"text file": 1},
    }  # fmt: skip
    assert said["blocks"] == len(list((at / "run1" / "records").iterdir())) == 13
    assert said["version"] == nsfwscan.__version__
    assert len(said["model"]) == 64
    assert said["threshold"] == 0.5
    assert said["versions"].keys() == {"engine", "python", "numpy", "pillow", "pyarrow", "ray"}
    assert said["started"] < said["finished"]
    assert said["resumed"] == 0


def test_a_part_is_a_report(done: tuple[Path, Any]) -> None:
    at, _ = done
    part = "run1/records/00000000.parquet"
    assert command(at, "review", part, "--output", "page").returncode == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "run1 is not empty; go on with --resume, or name another folder"),
        (
            ("--resume", "--threshold", "0.25"),
            "run1 was begun with another threshold: 0.5, not 0.25; repeat that command",
        ),
        (("--resume", "--frames", "4"), "run1 was begun with another choice of --frames: 3, not 4"),
        (
            ("--resume", "--block-size", "99"),
            "run1 was begun with another --block-size: 100, not 99",
        ),
        (
            ("--resume", "--hidden"),
            "run1 was begun with another choice of --hidden: False, not True",
        ),
        (("--resume", "--model", "other.onnx"), "run1 was begun with another model: "),
        (("--resume", "--manifest", "other.json"), "run1 was begun with another manifest: "),
    ],
)
def test_another_run_is_refused(done: tuple[Path, Any], more: tuple[str, ...], said: str) -> None:
    at, _ = done
    shutil.copy(at / "m.onnx", at / "other.onnx")
    with (at / "other.onnx").open("ab") as model:
        model.write(b"\x7a\x00")  # an empty field
    result = command(at, *COMMAND, "--out", "run1", "--quiet", *more)
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_complete_run_resumes_to_the_same(done: tuple[Path, Any]) -> None:
    at, first = done
    before = {path: path.read_bytes() for path in (at / "run1").rglob("*") if path.is_file()}
    again = command(at, *COMMAND, "--out", "run1", "--resume")
    assert again.returncode == 2
    assert again.stderr.partition(";")[0] == first.stderr.partition(";")[0]
    assert {path: path.read_bytes() for path in before} == before


def test_a_missing_part_is_made_again(done: tuple[Path, Any]) -> None:
    at, _ = done
    shutil.copytree(at / "run1", at / "run2")
    part = at / "run2" / "records" / "00000004.parquet"
    part.unlink()
    (at / "run2" / "_SUCCESS.json").unlink()
    assert command(at, *COMMAND, "--out", "run2", "--resume").returncode == 2
    assert records(at / "run2") == records(at / "run1")
    said = json.loads((at / "run2" / "_SUCCESS.json").read_text())
    assert (said["counts"]["found"], said["resumed"]) == (1236, 1135)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.parquet", None, "has lost manifest.parquet; name another folder"),
        ("run.json", b'{"entries": "x"}', "has no readable run.json; name another folder"),
    ],
)
def test_a_run_that_has_lost_a_file_is_refused(
    done: tuple[Path, Any], tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    at, _ = done
    shutil.copytree(at / "run1", tmp_path / "run1")
    (tmp_path / "run1" / name).unlink()
    if content is not None:
        (tmp_path / "run1" / name).write_bytes(content)
    result = command(at, *COMMAND, "--out", str(tmp_path / "run1"), "--resume")
    assert result.returncode == 2
    assert result.stderr.splitlines()[1].endswith(said)


def test_an_object_store_has_the_images_and_takes_the_result(
    done: tuple[Path, Any], tmp_path: Path
) -> None:
    at, _ = done
    photos = {f"photos/{path.name}": path.read_bytes() for path in (at / "photos").iterdir()}
    with empty_bucket() as (url, variables):
        put_all(variables["AWS_ENDPOINT_URL"], photos)
        given = ("cluster", f"{url}/photos", *COMMAND[2:], "--out", f"{url}/run1")
        assert command(at, *given, **variables).returncode == 2
        again = command(at, *given, **variables)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            folder = folder_at(f"{url}/run1")
            names = sorted(folder.names())
            for name in names:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                with folder.open(name) as stream:
                    (tmp_path / name).write_bytes(stream.read())
        resumed = command(at, *given, "--resume", **variables)
    assert names == sorted(LocalFolder(at / "run1").names())
    found, local = records(tmp_path), records(at / "run1")
    assert found["path"].to_pylist() == [f"{url}/{path}" for path in local["path"].to_pylist()]
    assert found.drop_columns("path") == local.drop_columns("path")
    assert again.stderr.splitlines()[1] == (
        "nsfwscan: s3://bucket/run1 is not empty; go on with --resume, or name another folder"
    )
    assert resumed.returncode == 2


def test_a_table_is_a_source_that_must_not_change(tmp_path: Path) -> None:
    redness(tmp_path / "m.onnx")
    paths = many(tmp_path / "photos", 5)
    table = tmp_path / "list.csv"
    table.write_text("path\n" + "".join(f"photos/{path.name}\n" for path in paths))
    given = ("cluster", "list.csv", "--model", "m.onnx", "--out", "run", "--quiet")
    result = command(tmp_path, *given)
    assert (result.returncode, result.stderr) == (0, "")
    assert records(tmp_path / "run")["path"].to_pylist() == [f"photos/{p.name}" for p in paths]
    table.write_text("path\nphotos/000000.png\n")
    result = command(tmp_path, *given, "--resume")
    assert result.returncode == 2
    assert "run was begun with another content of the source" in result.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "there is no Ray cluster at 127.0.0.1:1 ("),
        ("ray://127.0.0.1:1", "there is no Ray cluster at ray://127.0.0.1:1 ("),
        ("auto", "Could not find any running Ray instance"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_sentence(
    tmp_path: Path, address: str, said: str
) -> None:
    redness(tmp_path / "m.onnx")
    many(tmp_path / "photos", 5)
    given = ("cluster", "photos", "--model", "m.onnx", "--out", "run", "--quiet")
    result = command(tmp_path, *given, "--address", address)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert said in line


VARIABLES = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "ab" * 32,
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback only
}
HEAD = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
ray.init(
    address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False,
    object_store_memory=256 << 20, _temp_dir=sys.argv[1],
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


def test_a_running_cluster_is_joined_and_left_running(done: tuple[Path, Any]) -> None:
    at, _ = done
    with TemporaryDirectory() as place:
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=os.environ | VARIABLES,
        )  # fmt: skip
        with head:
            assert head.stdout is not None
            address = head.stdout.readline().strip()
            given = (*COMMAND, "--out", "joined", "--address", address)
            refused = command(at, *given, **VARIABLES | {"RAY_AUTH_TOKEN": "0" * 64})
            assert not (at / "joined").exists()
            result = command(at, *given, **VARIABLES)
            others = (*given[:-3], "gpus", *given[-2:])
            many_gpus, one = (command(at, *others, "--gpus", n, **VARIABLES) for n in ("2", "0.5"))
            assert head.poll() is None
            head.communicate("")
    assert refused.returncode == 2
    _, line = refused.stderr.splitlines()
    assert line.startswith("nsfwscan: the Ray cluster wants a token: set RAY_AUTH_MODE=token, and ")
    assert result.returncode == 2
    assert "redness on the Ray cluster, flagging" in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert records(at / "joined") == records(at / "run1")
    assert many_gpus.returncode == one.returncode == 2
    assert many_gpus.stderr.splitlines()[1] == (
        "nsfwscan: no node of the Ray cluster has 2 GPUs (the most are 1); leave --gpus out to "
        "score on the CPU"
    )
    _, said = one.stderr.splitlines()  # the GPU is none
    assert said.startswith("nsfwscan: ")
    assert "cuda" in said.lower()


def test_a_node_without_the_model_is_one_sentence(tmp_path: Path) -> None:
    """Its folder is not there when the actors begin."""
    redness(tmp_path / "m.onnx")
    many(tmp_path / "photos", 5)
    code = (
        "import sys\n"
        "from nsfwscan.cluster import run\n"
        "from nsfwscan.cluster.run import ray_cluster\n"
        "import os\n"
        "def without(address):\n"
        "    os.unlink('m.onnx')\n"
        "    return ray_cluster(address)\n"
        "run.ray_cluster = without\n"
        "from nsfwscan.cli import main\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "cluster", "photos", "--model", "m.onnx", "--out", "run"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert "m.onnx: No such file or directory" in lines[1]


def test_without_ray_it_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    code = lacking("nsfwscan", "ray")
    result = subprocess.run(
        [sys.executable, "-c", code, "cluster", "photos", "--out", "run"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == (
        'nsfwscan: this needs ray, which is not installed: pip install "nsfwscan[ray]"\n'
    )
    assert not (tmp_path / "run").exists()
