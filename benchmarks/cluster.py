"""Compare `nsfwscan cluster` on one machine with a scan: speed, scores, and memory.

    python benchmarks/cluster.py [COUNT] [--model FILE] [--gone]

It makes COUNT small images (20,000) in a temporary folder, and prints the images a second of both,
the ratio, the largest difference of scores, and the peak memory of each kind of process. With
--gone there are no images: the list names COUNT files that do not exist, and the model costs
nothing.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pyarrow import parquet

SCRIPT = Path(sysconfig.get_path("scripts"), "nsfwscan")


def main() -> None:
    """Run both and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=20_000)
    parser.add_argument("--model")
    parser.add_argument("--gone", action="store_true")
    given = parser.parse_args()
    more = [] if given.model is None else ["--model", str(Path(given.model).resolve())]
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        source = make_list(given.count) if given.gone else make_images(given.count)
        listed = ["--files-from", source] if given.gone else [source]
        report = ["--no-cache", "--format", "parquet", "--output", "scan.parquet"]
        alone = timed("scan", *listed, *more, *report)
        together = timed("cluster", source, *more, "--out", "run")
        print(f"scan {given.count / alone:.1f}/s, cluster {given.count / together:.1f}/s")
        print(f"ratio of throughput, start included: {alone / together:.3f}")
        compare(Path("scan.parquet"), Path("run", "records"))


def make_images(count: int) -> str:
    """Write small photos, no two the same."""
    Path("photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((320, 240), Image.Resampling.BICUBIC).save(f"photos/{number:07}.jpg")
    return "photos"


def make_list(count: int) -> str:
    """Write a list of files that do not exist."""
    with Path("list.csv").open("w", encoding="utf-8") as out:
        out.write("path\n")
        out.writelines(f"photos/{number:07}.jpg\n" for number in range(count))
    return "list.csv"


def timed(*arguments: str) -> float:
    """Run a command, print its summary and peak memory, and return its seconds."""
    started = time.monotonic()
    process = subprocess.Popen([SCRIPT, *arguments], stderr=subprocess.PIPE, text=True)
    peaks = Counter[str]()
    watcher = threading.Thread(target=watch, args=(process, peaks), daemon=True)
    watcher.start()
    _, err = process.communicate()
    seconds = time.monotonic() - started
    if process.returncode not in {0, 1, 2}:
        sys.exit(err)
    print(arguments[0], err.splitlines()[-1])
    for name, size in peaks.most_common():
        print(f"  {size / 2**20:8.0f} MiB  {name}")
    return seconds


def watch(process: "subprocess.Popen[str]", peaks: "Counter[str]") -> None:
    """Keep the largest private memory of each kind of process below a command."""
    while process.poll() is None:
        parents, facts = dict[int, int](), dict[int, tuple[str, int]]()
        for place in Path("/proc").glob("[0-9]*"):
            try:
                pid = int(place.name)
                parents[pid] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                title = (place / "cmdline").read_text().replace("\0", " ").strip()
                memory = (place / "status").read_text().partition("RssAnon:")[2].split()[0]
                facts[pid] = title, int(memory) << 10
            except (OSError, IndexError, ValueError):
                continue
        below = {process.pid}
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        for pid in below & facts.keys():
            title, size = facts[pid]
            name = "the command" if pid == process.pid else kind(title)
            peaks[name] = max(peaks[name], size)
        time.sleep(0.5)


def kind(title: str) -> str:
    """Name a process by its command line."""
    for part, name in (
        ("nsfwscan.decoding", "process that decodes"),
        ("ray::", title.split(".", maxsplit=1)[0]),
    ):
        if part in title:
            return name
    return f"Ray: {Path(title.split(maxsplit=1)[0]).name}" if title else "another"


def compare(scan: Path, parts: Path) -> None:
    """Compare the records."""
    one = parquet.read_table(scan)
    other = pa.concat_tables([parquet.read_table(path) for path in sorted(parts.iterdir())])
    assert one["path"] == other["path"]
    assert one["status"] == other["status"]
    assert one["reason"] == other["reason"]
    difference = pc.max(pc.abs(pc.subtract(one["score"], other["score"]))).as_py()
    print(f"{one.num_rows:,} records; largest difference of scores: {difference}")


if __name__ == "__main__":
    main()
