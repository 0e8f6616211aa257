import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backbones import hungry_backbone
from labelled import Collection
from PIL import Image

from nsfwscan.dataset.labels import read_held_out
from nsfwscan.dataset.objects import object_path
from nsfwscan.decoding.parameters import REVISION
from nsfwscan.errors import LabelError, StoreError
from nsfwtrain.data.lock import held
from nsfwtrain.data.split import split
from nsfwtrain.data.store import import_folder
from nsfwtrain.data.tables import read_labels, read_split, write_table
from nsfwtrain.errors import FolderError, RunError
from nsfwtrain.model.classifier import load_model
from nsfwtrain.model.keras import gpus
from nsfwtrain.run.evaluate import evaluate_run
from nsfwtrain.run.fit import fit
from nsfwtrain.run.left_out import left_out_lines
from nsfwtrain.run.options import Converged, Options, Study
from nsfwtrain.run.results import read_facts, read_history, read_scores
from nsfwtrain.run.state import load_state
from nsfwtrain.run.verdict import summary
from nsfwtrain.variants import by_name

B0 = by_name("b0")


def run(collection: Collection, out: Path, *, cache: Path, **more: Any) -> dict[str, Any]:
    resume = more.pop("resume", False)
    say = more.pop("say", lambda _line: None)
    study = {field.name for field in fields(Study)} & more.keys()
    recipe = Study(**({"batch_size": 32, "epochs": 4} | {name: more.pop(name) for name in study}))
    options = Options(**({"recipe": recipe} | more))
    return fit(
        B0, collection.store, collection.split, out, options,
        backbone=str(collection.backbone), cache=cache, resume=resume, say=say,
    )  # fmt: skip


def scores(out: Path) -> dict[str, float]:
    found = read_scores(out)
    return dict(zip(found["objectId"], found["score"], strict=True))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_both_modes_give_the_same_model(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    run(collection, tmp_path / "a", cache=cache)
    run(collection, tmp_path / "b", cache=cache, mode="end-to-end")
    a, b = scores(tmp_path / "a"), scores(tmp_path / "b")
    assert a.keys() == b.keys()
    assert max(abs(a[name] - b[name]) for name in a) < 1e-4
    assert np.ptp(list(a.values())) > 0.3  # the scores distinguish images


@pytest.mark.slow
def test_a_run_learns_and_records_its_facts(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    facts = run(collection, tmp_path / "run", cache=cache, epochs=15)
    metrics = facts["metrics"]
    counts = facts["counts"]
    assert metrics["images"] == counts["test/0"] + counts["test/1"]
    assert metrics["accuracy"] >= 0.8
    assert metrics["roc_auc"] >= 0.9
    written = read_facts(tmp_path / "run")
    assert written["metrics"] == metrics
    assert written["options"]["batch_size"] == 32
    assert written["bytes"]["model"] > 100_000
    assert written["parameters"] == 8 * 8 * 3 * 32 + 32 * 1280 + 1281
    assert set(written["seconds"]) - {"compilation"} == {
        "backbone",
        "data",
        "training",
        "evaluation",
        "saving",
        "plots",
    }
    assert written["versions"]["tensorflow"].startswith("2.21")
    assert written["preprocess"]["revision"] == REVISION
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert history[0] == "epoch,loss,accuracy,val_loss,val_accuracy,seconds"
    assert len(history) == 16
    held_out = read_held_out(tmp_path / "run" / "held_out.csv")
    assert len(held_out) == counts["validation/0"] + counts["validation/1"]
    assert np.mean([(score >= 0.5) == label.value for label, score in held_out]) >= 0.8
    assert list((tmp_path / "run" / "logs" / "train").iterdir())


@pytest.mark.slow
def test_a_model_reloads_without_its_backbone(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    backbone = tmp_path / "backbone"
    shutil.copytree(collection.backbone, backbone)
    own = Collection(collection.store, collection.split, backbone)
    run(own, tmp_path / "run", cache=cache)
    shutil.rmtree(backbone)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from nsfwtrain.model.classifier import load_model\n"
        "model = load_model(Path(sys.argv[1]))\n"
        "print(*model(np.load(sys.argv[2])).numpy()[:, 0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run", tmp_path / "pixels.npy"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    again = [float(word) for word in done.stdout.split()]
    assert again == pytest.approx(
        load_model(tmp_path / "run")(pixels).numpy()[:, 0].tolist(), abs=1e-6
    )


@pytest.mark.slow
def test_a_resumed_run_ends_like_an_uninterrupted_run(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    run(collection, tmp_path / "straight", cache=cache, epochs=6)

    def interrupt(line: str) -> None:
        if line.startswith("epoch 3 of 6"):
            raise KeyboardInterrupt

    facts = run(collection, tmp_path / "cut", cache=cache, epochs=6, say=interrupt)
    assert (facts["epochs"], facts["interrupted"]) == (3, True)
    assert len(scores(tmp_path / "cut")) == facts["metrics"]["images"]
    with pytest.raises(RunError, match="holds a run already; continue it with --resume"):
        run(collection, tmp_path / "cut", cache=cache, epochs=6)
    facts = run(collection, tmp_path / "cut", cache=cache, epochs=6, resume=True)
    assert (facts["epochs"], facts["interrupted"]) == (6, False)
    assert len((tmp_path / "cut" / "history.csv").read_text().splitlines()) == 7
    assert scores(tmp_path / "cut") == pytest.approx(scores(tmp_path / "straight"), abs=1e-6)


@pytest.mark.slow
def test_patience_stops_early_and_keeps_the_best_head(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    facts = run(collection, tmp_path / "run", cache=cache, epochs=60, learning_rate=0.3, patience=2)
    losses = read_history(tmp_path / "run")["val_loss"].tolist()
    assert facts["epochs"] == len(losses) < 60
    assert losses.index(min(losses)) == len(losses) - 3


@pytest.mark.slow
def test_resuming_a_run_that_patience_stopped_changes_nothing(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    options = {"epochs": 60, "learning_rate": 0.3, "patience": 2}
    first = run(collection, tmp_path / "run", cache=cache, **options)
    again = run(collection, tmp_path / "run", cache=cache, resume=True, **options)
    assert again["epochs"] == first["epochs"]
    assert again["metrics"] == first["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["features", "end-to-end"])
def test_out_of_memory_only_halves_the_batch(
    collection: Collection, tmp_path: Path, mode: str
) -> None:
    hungry = Collection(
        collection.store, collection.split, hungry_backbone(tmp_path / "backbone", fits=2)
    )
    cache, said = tmp_path / "cache", list[str]()
    run(hungry, tmp_path / "halved", cache=cache, mode=mode, batch_size=4, say=said.append)
    halved = [line for line in said if "memory" in line]
    assert halved[-1] == "out of memory: the batch size is now 2"
    size = 4 if mode == "features" else 2  # features mode halves only the backbone's batch
    facts = read_facts(tmp_path / "halved")
    assert (facts["options"]["batch_size"], facts["batch_sizes"]) == (4, [size])
    run(hungry, tmp_path / "small", cache=cache, mode=mode, batch_size=size)
    assert scores(tmp_path / "halved") == pytest.approx(scores(tmp_path / "small"), abs=1e-6)


@pytest.mark.slow
def test_mixed_precision_without_a_gain_is_reported(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    said: list[str] = []
    facts = run(
        collection, tmp_path / "run", cache=cache, epochs=1, mixed_precision=True, say=said.append
    )
    gains = any(gpu.get("compute_capability", (0, 0)) >= (7, 0) for gpu in gpus())
    assert facts["options"]["mixed_precision"] == gains
    assert ("mixed precision is not faster on this machine: using float32" in said) != gains


@pytest.mark.slow
def test_a_run_with_another_split_or_seed_is_not_resumed(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    run(collection, tmp_path / "run", cache=cache, epochs=1)
    lines = collection.split.read_text().splitlines()
    (tmp_path / "other.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    other = Collection(collection.store, tmp_path / "other.csv", collection.backbone)
    with pytest.raises(RunError, match="cannot be resumed: its split sha256 was"):
        run(other, tmp_path / "run", cache=cache, epochs=2, resume=True)
    with pytest.raises(RunError, match="cannot be resumed: its seed was 0, now it is 5"):
        run(collection, tmp_path / "run", cache=cache, epochs=2, seed=5, resume=True)


@pytest.mark.slow
def test_balanced_training_has_less_bias(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    """The store has equally many images of both labels; the split drops most of label 1."""
    lines = collection.split.read_text().splitlines()
    rare = [line for line in lines if line.endswith(",1,train")]
    (tmp_path / "skewed.csv").write_text("\n".join(x for x in lines if x not in rare[5:]) + "\n")
    skewed = Collection(collection.store, tmp_path / "skewed.csv", collection.backbone)
    run(skewed, tmp_path / "plain", cache=cache, epochs=1)
    run(skewed, tmp_path / "balanced", cache=cache, epochs=1, balanced=True)
    plain, balanced = (load_state(tmp_path / name) for name in ("plain", "balanced"))
    assert plain is not None
    assert balanced is not None
    assert balanced.head[1][0] > plain.head[1][0]  # less bias against the rare label


@pytest.mark.slow
def test_a_converged_head_needs_no_seed_and_no_order(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    lines = collection.split.read_text().splitlines()
    (tmp_path / "reversed.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    turned = Collection(collection.store, tmp_path / "reversed.csv", collection.backbone)
    converged = Converged()
    run(collection, tmp_path / "a", cache=cache, recipe=converged, seed=0)
    run(turned, tmp_path / "b", cache=cache, recipe=converged, seed=1)
    ours, theirs = (load_model(tmp_path / name).layers[-1].get_weights() for name in ("a", "b"))
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert scores(tmp_path / "a") == pytest.approx(scores(tmp_path / "b"), abs=1e-5)


@pytest.mark.slow
def test_a_converged_run_records_its_head_and_estimate(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    said: list[str] = []
    facts = run(collection, tmp_path / "run", cache=cache, recipe=Converged(), say=said.append)
    written = read_facts(tmp_path / "run")
    assert written["options"]["recipe"] == "converged"
    assert written["prevalence"] == 0.5
    assert written["labels"] == ["decent", "indecent"]
    assert written["head"] == facts["head"]
    assert written["estimate"]["accuracy"] > 0.8
    assert written["metrics"]["accuracy"] > 0.8
    history = read_history(tmp_path / "run")
    assert facts["head"]["strength"] in history["strength"].tolist()
    assert said[-1].startswith(f"head: strength {facts['head']['strength']:.3g}, scale ")
    held_out = read_held_out(tmp_path / "run" / "held_out.csv")
    learned = read_split(tmp_path / "run" / "split.csv").query("type != 'test'")
    assert [label.object_id for label, _ in held_out] == sorted(learned["objectId"])
    right = [(score >= 0.5) == label.value for label, score in held_out]
    assert np.mean(right) == pytest.approx(written["estimate"]["accuracy"], abs=0.05)
    table = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert table["path"].str.endswith(".png").all()
    again = run(collection, tmp_path / "run", cache=cache, recipe=Converged(), resume=True)
    assert again["metrics"] == facts["metrics"]


def test_a_label_of_near_duplicates_is_refused(tmp_path: Path, collection: Collection) -> None:
    """The files differ in a few bytes, so the store has all of them."""
    rng = np.random.default_rng(0)
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for i in range(60):
            pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
            if label:
                pixels = np.full((8, 8, 3), np.arange(8)[:, None] * 20 + i % 3, np.uint8)
            image = Image.fromarray(pixels).resize((32 + i, 32))
            image.save(tmp_path / str(label) / f"{i}.png")
        import_folder(tmp_path / str(label), tmp_path / "store", 1 if label else 0)
    write_table(tmp_path / "split.csv", split(read_labels(tmp_path / "store" / "label.csv")))
    alike = Collection(tmp_path / "store", tmp_path / "split.csv", collection.backbone)
    with pytest.raises(LabelError, match=r"all 60 images of label 1 \(indecent\) are near-dup"):
        run(alike, tmp_path / "run", cache=tmp_path / "cache", recipe=Converged())
    assert not (tmp_path / "run").exists()


def test_a_split_without_a_label_is_refused_before_any_work(
    collection: Collection, tmp_path: Path
) -> None:
    lines = collection.split.read_text().splitlines()
    (tmp_path / "one.csv").write_text("\n".join(x for x in lines if ",1,test" not in x) + "\n")
    one = Collection(collection.store, tmp_path / "one.csv", Path("no/such/backbone"))
    with pytest.raises(LabelError, match=r"test has \d+ of label 0 and 0 of label 1"):
        run(one, tmp_path / "run", cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_seconds_of_a_resumed_run_cover_all_epochs(collection: Collection, tmp_path: Path) -> None:
    first = run(collection, tmp_path / "run", cache=tmp_path / "cache", epochs=2)
    assert first["images"] == {"prepared": 240, "cached": 0}
    again = run(collection, tmp_path / "run", cache=tmp_path / "cache", epochs=4, resume=True)
    assert again["seconds"]["data"] >= first["seconds"]["data"]
    assert again["images"] == first["images"]
    other = run(collection, tmp_path / "other", cache=tmp_path / "cache", epochs=1)
    assert other["images"] == {"prepared": 0, "cached": 240}
    assert again["seconds"]["training"] >= read_history(tmp_path / "run")["seconds"].sum()


def test_impossible_trainings_are_errors(
    collection: Collection, tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(RunError, match="the training diverged: the loss of epoch 1 is"):
        run(collection, tmp_path / "run", cache=cache, learning_rate=float("inf"))
    with pytest.raises(RunError, match="writes only to names in UTF-8"):
        run(collection, tmp_path / os.fsdecode(b"\xff"), cache=cache)
    os.mkfifo(tmp_path / "pipe")
    piped = Collection(collection.store, tmp_path / "pipe", collection.backbone)
    with pytest.raises(LabelError, match="pipe is a pipe or a device; save the table"):
        run(piped, tmp_path / "run", cache=cache)


@pytest.mark.slow
def test_counts_cover_only_the_usable_images(collection: Collection, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(collection.store, store)
    first = read_split(collection.split)["objectId"][0]
    object_path(store, first).unlink()
    own = Collection(store, collection.split, collection.backbone)
    facts = run(own, tmp_path / "run", cache=tmp_path / "cache", epochs=1, skip_bad=True)
    assert sum(facts["counts"].values()) == 239
    assert list(facts["left_out"]) == [first]
    assert facts["images"] == {"prepared": 239, "cached": 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        (20, "nsfwtrain: cannot write run/state.npz: File too large"),
        (100, "nsfwtrain: cannot write the model into run: is the disk full?"),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_no_partial_file(
    collection: Collection, tmp_path: Path, cache: Path, blocks: int, sentence: str
) -> None:
    """A limit on the file size, in KiB, makes writes really fail, as on a full disk."""
    words = [
        sys.executable, "-m", "nsfwtrain", "fit", "b0", "--store", collection.store,
        "--split", collection.split, "--backbone", collection.backbone, "--out", "run",
        "--cache", cache, "--recipe", "study", "--epochs", "1", "--batch-size", "32",
    ]  # fmt: skip
    run(collection, tmp_path / "warm", cache=cache, epochs=1)
    fonts = [sys.executable, "-c", "import matplotlib.font_manager"]
    subprocess.run(fonts, check=True)  # the list of fonts that it writes exceeds the limit
    line = f"ulimit -f {blocks}; {shlex.join(map(str, words))}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    out = tmp_path / "run"
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert not (out / "run.json").exists()
    assert not list(out.glob("model*"))


@pytest.mark.slow
def test_a_warm_cache_does_not_hide_lost_images(collection: Collection, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(collection.store, store)
    own = Collection(store, collection.split, collection.backbone)
    run(own, tmp_path / "before", cache=tmp_path / "cache", epochs=1)
    rows = read_split(collection.split)
    names = rows[(rows["type"] == "test") & (rows["value"] == 1)]["objectId"].tolist()
    object_path(store, names[0]).unlink()
    object_path(store, names[1]).write_bytes(b"changed")
    with pytest.raises(StoreError, match=rf"no longer has 2 of 240 images .* {names[0]}: .*skip"):
        run(own, tmp_path / "run", cache=tmp_path / "cache", epochs=1)
    with pytest.raises(StoreError, match=r"no longer has 2 of .*skip"):
        evaluate_run(tmp_path / "before", store, collection.split, cache=tmp_path / "cache")
    facts = run(own, tmp_path / "run", cache=tmp_path / "cache", epochs=1, skip_bad=True)
    written = read_facts(tmp_path / "run")
    for name in ("left_out", "left_out_counts", "unbalanced"):
        assert written[name] == facts[name]
    assert set(facts["left_out"]) == set(names[:2])
    assert (facts["left_out_counts"]["test/1"], facts["unbalanced"]) == (2, ["test"])
    assert facts["counts"]["test/1"] == facts["counts"]["test/0"] - 2 == len(names) - 2
    assert summary(facts)[:2] == left_out_lines(facts)
    said: list[str] = []
    folder, metrics = evaluate_run(
        tmp_path / "before", store, collection.split, cache=tmp_path / "cache", skip_bad=True,
        say=said.append,
    )  # fmt: skip
    assert said == left_out_lines(facts)
    assert metrics["images"] == facts["metrics"]["images"]
    assert json.loads((folder / "metrics.json").read_text())["unbalanced"] == ["test"]


def test_a_run_holds_its_folder_from_the_start(collection: Collection, tmp_path: Path) -> None:
    with held(tmp_path / "run"), pytest.raises(FolderError, match="is in use by process"):
        run(collection, tmp_path / "run", cache=tmp_path / "cache", recipe=Converged())
    assert not (tmp_path / "cache").exists()  # nothing was searched or computed
