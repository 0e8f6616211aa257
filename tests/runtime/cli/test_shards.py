"""Whole commands, through the installed console script: Parquet, shards, and their merging."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from helpers import lacking, mean_model
from PIL import Image
from pyarrow import parquet
from runtime.reports.test_parquet import write
from runtime.test_record import make_record

from nsfwscan import Manifest, Preprocess
from nsfwscan.sources.shard import Shard

NAME = "caf\udce9.png"
SCAN = ("photos", "-m", "m.onnx", "--no-cache", "-q", "-f", "parquet", "-o")
ARRAY_JOBS = {
    "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "4",
    "SLURM_ARRAY_TASK_STEP": "1", "SLURM_ARRAY_TASK_COUNT": "4",
}  # fmt: skip


@pytest.fixture(autouse=True)
def photos(tmp_path: Path) -> Path:
    ours = Manifest(name="redness", preprocess=Preprocess(size=8), threshold=0.6)
    mean_model(tmp_path / "m.onnx", ours)
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(12):
        Image.new("RGB", (20, 20), (20 * number, 0, 0)).save(folder / "more" / f"{number}.png")
    (folder / "more" / "11.png").rename(folder / NAME)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(30))
    (folder / ".hidden").write_bytes(b"")
    return folder


def rows(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = parquet.read_table(path).to_pylist()
    return sorted(found, key=lambda row: str(row["path"]))


def footer(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(parquet.read_metadata(path).metadata[b"nsfwscan"])
    return found


def test_the_records_are_those_of_json_lines(run: Run, tmp_path: Path) -> None:
    done = run(*SCAN, "r.parquet")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    run(*SCAN[:-3], "-f", "jsonl", "-o", "r.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_bytes().splitlines()]
    for line in lines:
        line["path"] = line["path"].replace("\udce9", r"\udce9")
    assert rows(tmp_path / "r.parquet") == sorted(lines, key=lambda row: str(row["path"]))


@pytest.mark.parametrize("output", [(), ("-o", "-"), ("-o", "/dev/stdout"), ("-o", "fifo")])
def test_parquet_goes_to_a_regular_file(run: Run, tmp_path: Path, output: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = run(*SCAN[:-1], *output)
    assert (done.returncode, done.stdout) == (2, "")
    name = output[-1] if "-o" in output and "-" not in output else "standard output"
    assert done.stderr == (
        f"nsfwscan: cannot write {name}: Parquet goes to a regular file; name one with --output\n"
    )


def test_parquet_needs_an_extra(run: Run, tmp_path: Path) -> None:
    run(*SCAN, "r.parquet")
    reading = ("--from", "r.parquet", "--flagged", "--move-to", "q")
    for arguments in ([*SCAN, "other"], ["apply", *reading]):
        done = subprocess.run(
            [sys.executable, "-c", lacking("nsfwscan", "pyarrow"), *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == (
            "nsfwscan: this needs pyarrow, which is not installed: "
            'pip install "nsfwscan[parquet]"\n'
        )
    assert not (tmp_path / "other").exists()


def test_other_commands_read_parquet(run: Run, tmp_path: Path) -> None:
    run(*SCAN, "r.parquet")
    again = run("photos", "-m", "m.onnx", "--no-cache", "--baseline", "r.parquet")
    assert "8 safe, 0 flagged, 0 errors, 6 as in the baseline" in again.stdout
    moved = run("apply", "--from", "r.parquet", "--flagged", "--move-to", "q")
    assert moved.returncode == 0
    assert (tmp_path / "q" / "photos" / NAME).exists()


@pytest.mark.slow
def test_shards_in_four_processes_make_up_one_scan(run: Run, tmp_path: Path) -> None:
    whole = run(*SCAN, "all.parquet")
    for index in range(4):
        assert run(*SCAN, f"{index}.parquet", "--shard", f"{index}/4").returncode in {0, 1, 2}
    assert min(len(rows(tmp_path / f"{index}.parquet")) for index in range(4)) > 0
    merged = run("merge", *(f"{i}.parquet" for i in (2, 0, 3, 1)), "-o", "merged.parquet")
    assert merged.returncode == whole.returncode == 2
    assert merged.stderr == (
        "16 found: 8 safe, 4 flagged, 2 errors, 2 skipped (1 video, 1 hidden file)\n"
    )
    assert len(rows(tmp_path / "all.parquet")) == 14
    assert rows(tmp_path / "merged.parquet") == rows(tmp_path / "all.parquet")
    assert footer(tmp_path / "merged.parquet") == footer(tmp_path / "all.parquet")


def test_files_of_other_shards_are_neither_read_nor_counted(run: Run, photos: Path) -> None:
    found = [
        run("photos", "-m", "m.onnx", "--no-cache", "--shard", f"{index}/2") for index in range(2)
    ]
    counts = [int(done.stdout.splitlines()[-1].split()[0]) for done in found]
    assert sum(counts) == 16
    assert 0 < counts[0] < 16
    assert "nsfwscan: shard 0/2: what is in others is neither read nor counted" in found[0].stderr


def test_the_shard_of_an_array_job(run: Run, tmp_path: Path) -> None:
    run(*SCAN, "given.parquet", "--shard", "2/4")
    run(*SCAN, "auto.parquet", "--shard", "auto", environment=ARRAY_JOBS)
    run(*SCAN, "set.parquet", environment=ARRAY_JOBS | {"NSFWSCAN_SHARD": "auto"})
    for name in ("auto.parquet", "set.parquet"):
        assert footer(tmp_path / name)["shard"] == "2/4"
        assert rows(tmp_path / name) == rows(tmp_path / "given.parquet")
    for value, said in (("4/4", "there is no shard 4/4"), ("x", "no shard: write I/N")):
        done = run(*SCAN, "r", "--shard", value)
        assert done.returncode == 2
        assert f"Invalid value for '--shard': {said}" in done.stderr.replace("'x' is ", "")


def test_merge_writes_nothing_if_a_part_is_missing(run: Run, tmp_path: Path) -> None:
    records = [make_record(path=f"{number}.jpg") for number in range(9)]
    for index in range(2):
        shard = Shard(index, 3)
        write(tmp_path / f"{index}", [one for one in records if shard.holds(one.path)], shard)
    done = run("merge", "0", "1", "-o", "all")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nsfwscan: shards without a report: 2/3\n"
    assert not (tmp_path / "all").exists()
    refused = run("merge", "0", "1", "-o", "1")
    assert refused.stderr == "nsfwscan: cannot write 1: 1 is an input; name another file\n"


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--exit-zero",), 0)])
def test_merge_exits_as_a_scan(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    write(tmp_path / "0", [make_record(status="flagged", score=0.9)], Shard(0, 1))
    done = run("merge", "0", "-o", "all", *arguments)
    assert (done.returncode, done.stderr) == (code, "1 found: 0 safe, 1 flagged, 0 errors\n")
