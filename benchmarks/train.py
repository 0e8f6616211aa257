"""Compare the cost of training with that of the published loop, as ratios from one run.

::

    python benchmarks/train.py --store STORE --split SPLIT --backbone FOLDER

Each measurement runs in its own process, so that none benefits from another:

- decoding alone and the backbone alone, on one thread. The upper bound of the feature pass, in
  images per second, is cores / (decode + backbone);
- `nsfwtrain fit` in features mode, from the first image to the last epoch, with an empty cache and
  with a full one (``run.json`` has the seconds of each stage);
- the published loop over the same images, with the same batch size and backbone:
  `ImageDataGenerator`, `flow_from_directory`, `fit`, every epoch over the pixels.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nsfwscan import Preprocess, decode
from nsfwscan.dataset.labels import PARTS
from nsfwscan.dataset.objects import read_object
from nsfwscan.util.parallel import available_cores
from nsfwtrain.data.link import link_folders
from nsfwtrain.data.tables import read_split
from nsfwtrain.variants import Variant, by_name

_SAMPLE = 320  # images for decoding alone and the backbone alone
_BATCH = 4  # the fastest on one thread


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Measure the cost of training, as ratios.")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--backbone", required=True, help="hub handle or SavedModel folder")
    parser.add_argument("--variant", default="b0")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--repeat", type=int, default=3, help="rounds of all but the published loop"
    )
    parser.add_argument("--part", choices=sorted(_PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(_PARTS[arguments.part](arguments, by_name(arguments.variant))))
        return
    images = len(read_split(arguments.split))
    cores = available_cores()
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        for i in range(arguments.repeat):
            folder = Path(name, str(i))
            alone = _measure("alone")
            first, second = (_fit(arguments, folder, run) for run in ("first", "second"))
            bound = cores / (alone["decode"] + alone["backbone"])
            rate = images / first["seconds"]["data"]
            rounds.append((alone, first, second, rate / bound))
            print(
                f"round {i + 1}: decode {1 / alone['decode']:.1f}/s and backbone "
                f"{1 / alone['backbone']:.1f}/s on one thread; feature pass {rate:.1f}/s on "
                f"{cores} cores, {rate / bound:.3f} of the bound",
                flush=True,
            )
    published = _measure("published")
    print(f"\n{images:,} images, {arguments.variant}, {arguments.epochs} epochs, {cores} cores")
    print("| | seconds | published / this | test loss |\n| --- | --- | --- | --- |")
    print(f"| published loop | {published['seconds']:.1f} | 1 | {published['loss']:.4f} |")
    for i, name in ((1, "features mode"), (2, "features mode, cached")):
        seconds = statistics.median(_train_seconds(row[i]) for row in rounds)
        ratio = published["seconds"] / seconds
        loss = rounds[0][i]["metrics"]["loss"]
        print(f"| {name} | {seconds:.2f} | {ratio:.1f} | {loss:.4f} |")
    stages = rounds[0][1]["seconds"]
    ratio = statistics.median(row[3] for row in rounds)
    print(f"\nfeature pass: {ratio:.3f} of cores / (decode + backbone), median of {len(rounds)}")
    apart = {name: round(s, 1) for name, s in stages.items() if name not in {"data", "training"}}
    print(f"other stages, in seconds: {apart}")


def _measure(part: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _fit(arguments: argparse.Namespace, folder: Path, run: str) -> dict[str, Any]:
    out = folder / run
    command = [
        sys.executable, "-m", "nsfwtrain", "fit", arguments.variant, "--out", str(out),
        "--store", str(arguments.store), "--split", str(arguments.split),
        "--backbone", arguments.backbone, "--recipe", "study", "--epochs", str(arguments.epochs),
        "--cache", str(folder / "cache"),
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    facts: dict[str, Any] = json.loads((out / "run.json").read_text())
    return facts


def _train_seconds(facts: dict[str, Any]) -> float:
    return float(facts["seconds"]["data"] + facts["seconds"]["training"])


def _alone(arguments: argparse.Namespace, variant: Variant) -> dict[str, float]:
    """Return the seconds for each image of decoding and of the backbone, on one thread."""
    from nsfwtrain.model.backbone import load_backbone
    from nsfwtrain.model.classifier import feature_function
    from nsfwtrain.model.keras import tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = read_split(arguments.split)[:_SAMPLE]
    preprocess = Preprocess(size=variant.image_size)
    layer = load_backbone(arguments.backbone, variant.feature_dim)
    features = feature_function(variant.image_size, layer)

    def read() -> Any:
        objects = (read_object(arguments.store, name) for name in rows["objectId"])
        return np.concatenate([decode(data, preprocess).pixels for data in objects])

    def forward() -> None:
        for start in range(0, len(stacked), _BATCH):
            features(tf.constant(stacked[start : start + _BATCH])).numpy()

    stacked = read()
    forward()
    return {"decode": _median(read) / len(rows), "backbone": _median(forward) / len(rows)}


def _median(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _published(arguments: argparse.Namespace, variant: Variant) -> dict[str, float]:
    """Return seconds and test loss of the loop of the published study."""
    from nsfwtrain.model.backbone import load_backbone
    from nsfwtrain.model.keras import tf_keras

    side = (variant.image_size, variant.image_size)
    with tempfile.TemporaryDirectory() as name:
        link_folders(arguments.store, read_split(arguments.split), Path(name, "links"))
        generator = tf_keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
        flows = {
            part: generator.flow_from_directory(
                str(Path(name, "links", part)), target_size=side, class_mode="binary",
                batch_size=variant.batch_size, shuffle=part == "train", seed=0, follow_links=True,
            )
            for part in PARTS
        }  # fmt: skip
        model = tf_keras.Sequential(
            [
                tf_keras.Input((*side, 3)),
                load_backbone(arguments.backbone, variant.feature_dim),
                tf_keras.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(tf_keras.optimizers.Adam(), "binary_crossentropy", ["accuracy"])
        started = time.perf_counter()
        model.fit(
            flows["train"], validation_data=flows["validation"], epochs=arguments.epochs, verbose=0
        )
        seconds = time.perf_counter() - started
        loss, _ = model.evaluate(flows["test"], verbose=0)
    return {"seconds": seconds, "loss": float(loss)}


_PARTS = {"alone": _alone, "published": _published}

if __name__ == "__main__":
    main()
