"""Kill training commands, run two of them at once, and run them without a terminal."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from backbones import small_backbone
from conftest import Run
from faults.processes import start
from labelled import Collection, make_collection
from PIL import Image

from nsfwtrain.data.tables import read_labels
from nsfwtrain.run.results import read_facts, read_scores

pytestmark = pytest.mark.slow

TEMPORARY = ".nsfwscan-*.tmp"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return make_collection(tmp_path_factory.mktemp("collection"))


def photos(folder: Path, count: int, seed: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(count):
        pixels = rng.integers(0, 256, (400, 400, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png", compress_level=0)


def importing(folder: str, label: int) -> list[str]:
    return ["import", folder, "--store", "store", "--label", str(label)]


def fitting(collection: Collection, out: str, epochs: int = 1) -> list[str | Path]:
    return [
        "fit", "b0", "--store", collection.store, "--split", collection.split, "--out", out,
        "--backbone", collection.backbone, "--cache", "cache", "--recipe", "study",
        "--epochs", str(epochs),
    ]  # fmt: skip


def sweeping(collection: Collection, folder: Path) -> list[str | Path]:
    small_backbone(folder / "b0-backbone")
    return [
        "sweep", "--variants", "b0", "--out", "runs", "--backbone", folder / "{variant}-backbone",
        "--store", collection.store, "--split", collection.split, "--cache", "cache",
    ]  # fmt: skip


def test_an_import_removes_what_a_killed_one_left(run: Run, tmp_path: Path) -> None:
    photos(tmp_path / "in", 150, 0)
    objects = tmp_path / "store" / "object"
    with start(tmp_path, "nsfwtrain", *importing("in", 0)) as killed:
        killed.wait_until(lambda: any(objects.glob(f"{TEMPORARY}/*")))
        killed.kill()
    assert list(objects.glob(TEMPORARY))
    foreign = objects / ".nsfwscan-12345678.tmp"
    foreign.mkdir()
    done = run(*importing("in", 0), program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "")
    assert "added: 150\n" in done.stdout
    assert list(objects.glob(".*")) == [foreign]  # without a lock, it may be anything
    files = {path.name for path in objects.rglob("*.png")}
    assert files == set(read_labels(tmp_path / "store" / "label.csv")["objectId"])


def test_a_fit_removes_what_a_killed_one_left(
    run: Run, tmp_path: Path, collection: Collection
) -> None:
    arguments = fitting(collection, "run")
    with start(tmp_path, "nsfwtrain", *arguments) as killed:
        killed.wait_until(lambda: any((tmp_path / "run").glob(f"{TEMPORARY}/model")))
        killed.kill()
    assert list((tmp_path / "run").glob(TEMPORARY))
    done = run(*arguments, "--resume", program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.rglob("*.tmp"))
    assert read_facts(tmp_path / "run")["epochs"] == 1


def test_a_fit_killed_while_it_computes_features_leaves_nothing_temporary(
    run: Run, tmp_path: Path, collection: Collection
) -> None:
    arguments = fitting(collection, "run")
    with start(tmp_path, "nsfwtrain", *arguments) as killed:
        killed.wait_until(lambda: any((tmp_path / "cache").glob("*/*.records")))
        killed.kill()
    assert not list(tmp_path.rglob("*.tmp"))
    assert run(*arguments, program="nsfwtrain").returncode == 0
    found = read_facts(tmp_path / "run")["images"]
    assert sum(found.values()) == 240


def test_a_sweep_continues_what_a_killed_one_left(
    run: Run, tmp_path: Path, collection: Collection
) -> None:
    arguments = sweeping(collection, tmp_path)
    with start(tmp_path, "nsfwtrain", *arguments) as killed:
        killed.wait_until((tmp_path / "runs" / "b0" / "begun.json").exists)
        killed.kill()
    done = run(*arguments, program="nsfwtrain")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("b0: done\n")
    assert not list((tmp_path / "runs").rglob("*.tmp"))


def test_a_second_import_is_told_who_holds_the_store(run: Run, tmp_path: Path) -> None:
    photos(tmp_path / "first", 150, 0)
    photos(tmp_path / "second", 20, 1)
    with start(tmp_path, "nsfwtrain", *importing("first", 0)) as first:
        first.wait_until(lambda: first.holds(tmp_path / "store"))
        first.send_signal(signal.SIGSTOP)
        second = run(*importing("second", 1), program="nsfwtrain")
        first.send_signal(signal.SIGCONT)
        assert first.end()[0] == 0
    assert (second.returncode, second.stdout) == (2, "")
    said = rf"nsfwtrain: store is in use by process {first.pid} on \S+; wait for its end, .*\n"
    assert re.fullmatch(said, second.stderr)
    assert run(*importing("second", 1), program="nsfwtrain").returncode == 0
    values = read_labels(tmp_path / "store" / "label.csv")["value"]
    assert values.value_counts().to_dict() == {0: 150, 1: 20}


def test_an_import_beside_a_fit_disturbs_neither(run: Run, tmp_path: Path) -> None:
    own = make_collection(tmp_path / "own")
    photos(tmp_path / "in", 20, 0)
    with start(tmp_path, "nsfwtrain", *fitting(own, "run")) as fit:
        fit.wait_until(lambda: fit.holds(tmp_path / "run"))
        imported = run("import", "in", "--store", own.store, "--label", "0", program="nsfwtrain")
        code, _, err = fit.end()
    assert (imported.returncode, imported.stderr) == (0, "")
    assert (code, err) == (0, "")
    assert len(read_labels(own.store / "label.csv")) == 260
    assert sum(read_facts(tmp_path / "run")["counts"].values()) == 240


def test_two_fits_share_a_cache(run: Run, tmp_path: Path, collection: Collection) -> None:
    with (
        start(tmp_path, "nsfwtrain", *fitting(collection, "a")) as a,
        start(tmp_path, "nsfwtrain", *fitting(collection, "b")) as b,
    ):
        ends = [process.end() for process in (a, b)]
    assert [(code, err) for code, _, err in ends] == [(0, ""), (0, "")]
    one, two = (read_scores(tmp_path / name).set_index("objectId")["score"] for name in "ab")
    assert one.to_dict() == pytest.approx(two.to_dict(), abs=1e-5)
    assert run(*fitting(collection, "c"), program="nsfwtrain").returncode == 0
    assert read_facts(tmp_path / "c")["images"]["prepared"] == 0


@pytest.mark.parametrize(
    ("make", "folder"),
    [(lambda own, _: fitting(own, "run"), "run"), (sweeping, "runs")],
    ids=["fit", "sweep"],
)
def test_a_second_command_is_told_who_holds_the_folder(
    run: Run,
    tmp_path: Path,
    collection: Collection,
    make: Callable[[Collection, Path], list[str | Path]],
    folder: str,
) -> None:
    arguments = make(collection, tmp_path)
    with start(tmp_path, "nsfwtrain", *arguments) as first:
        first.wait_until(lambda: first.holds(tmp_path / folder))
        first.send_signal(signal.SIGSTOP)
        second = run(*arguments, program="nsfwtrain")
        first.send_signal(signal.SIGCONT)
        code, _, err = first.end()
    assert (code, err) == (0, "")
    assert (second.returncode, second.stdout) == (2, "")
    said = rf"nsfwtrain: {folder} is in use by process {first.pid} on \S+; wait for its end, .*\n"
    assert re.fullmatch(said, second.stderr)


@pytest.fixture
def often(tmp_path: Path) -> dict[str, str]:
    """Give the environment in which all processes say how far they are all the time."""
    code = "import nsfwscan.reports.progress as p\np.INTERVAL = 0.01\n"
    (tmp_path / "often").mkdir()
    (tmp_path / "often" / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(tmp_path / "often")}


def test_without_a_terminal_each_command_says_how_far_it_is(
    run: Run, tmp_path: Path, collection: Collection, often: dict[str, str]
) -> None:
    def said(program: str, *arguments: object) -> str:
        done = run(*map(str, arguments), program=program, environment=often)
        assert done.returncode == 0, done.stderr
        lines = done.stderr.splitlines()
        assert all(line.startswith(f"{program}: ") for line in lines)
        return done.stderr

    photos(tmp_path / "in", 40, 0)
    at = r"[\d,]+ of [\d,]+, \d[^\n]* left\n"
    assert re.search(f"nsfwtrain: importing: {at}", said("nsfwtrain", *importing("in", 0)))
    assert re.search(f"nsfwscan: scanning: {at}", said("nsfwscan", "in", "--exit-zero"))
    assert said("nsfwscan", "in", "--exit-zero", "--quiet") == ""
    audit = ["audit", collection.store, collection.split]
    assert re.search(f"nsfwtrain: checking objects: {at}", said("nsfwtrain", *audit))
    lines = said("nsfwtrain", *sweeping(collection, tmp_path))  # with a fit in a child
    for label in ("hashing images", "computing features"):
        assert re.search(f"nsfwtrain: {label}: {at}", lines)
    for label in ("loading the backbone", "solving for the head", "saving the model"):
        assert f"nsfwtrain: {label}: 0:00:0" in lines
    study = fitting(collection, "study", epochs=30)
    assert re.search(f"nsfwtrain: training: {at}", said("nsfwtrain", *study))
    evaluate = ["evaluate", "runs/b0", *study[2:6], "--cache", "cache"]
    assert "nsfwtrain: loading the model: 0:00:0" in said("nsfwtrain", *evaluate)
    lines = said("nsfwexport", "convert", "runs/b0", "-o", "m.onnx")
    assert "nsfwexport: converting to ONNX: 0:00:0" in lines
    assert re.search(f"nsfwexport: comparing the models: {at}", lines)
    assert re.search(f"nsfwexport: scanning the images on cpu: {at}", lines)
    calibrate = [*study[2:6], "--part", "test", "--target-fpr", "0.2"]
    # Twelve images are soon scored; before the first, there is only the time.
    lines = said("nsfwexport", "calibrate", "m.onnx", *calibrate)
    assert re.search(f"nsfwexport: scoring: ({at}|0:00:0)", lines)
    # The reason of a failure is not hidden by what the child says.
    every = ["all", "runs", "-o", "all", "--max-difference", "0"]
    refused = run(*every, program="nsfwexport", environment=often)
    assert refused.returncode == 1
    assert "nsfwexport: converting runs: 0:00:0" in refused.stderr
    assert re.search(r"\nb0: [^\n]*b0\.onnx [^\n]*differ", refused.stdout), refused.stdout
