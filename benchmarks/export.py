"""Measure the cost of a conversion and the parity of the files: one row for each training run.

::

    python benchmarks/export.py RUNS IMAGES

Each run of the folder is converted and compared on the images in its own process. The table lists
the seconds, the peak memory (as the system counts it), the size of the file, the largest relative
error of a feature vector, the largest difference of a probability, the range of the scores and the
flips. POSIX only.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nsfwexport import modelfile

_PER_GIGABYTE = 1e9 / 1024 if sys.platform != "darwin" else 1e9  # of ru_maxrss


def main() -> None:
    """Convert, and print the table."""
    headings = (
        "run",
        "seconds",
        "memory",
        "ONNX file",
        "features",
        "difference",
        "scores",
        "flips",
    )
    print(f"| {' | '.join(headings)} |")
    print("| --- " * len(headings) + "|")
    with tempfile.TemporaryDirectory() as name:
        runs, images = map(Path, sys.argv[1:])
        for run in sorted(path.parent for path in runs.glob("*/run.json")):
            print(_row(run, Path(name) / f"{run.name}.onnx", images), flush=True)


def _row(run: Path, file: Path, images: Path) -> str:
    command = [sys.executable, "-m", "nsfwexport", "convert", str(run), "-o", str(file)]
    command += ["--images", str(images)]
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        return f"| {run.name} | failed with {child.returncode} | | | | | | |"
    parity = modelfile.read(file)[1].parity or {}
    comparisons = parity["comparisons"]
    low, high = parity["score_range"]
    features = [c["features"]["largest"] for c in comparisons if c["features"]]
    return (
        f"| {run.name} | {seconds:.0f} | {usage.ru_maxrss / _PER_GIGABYTE:.1f} GB "
        f"| {file.stat().st_size / 1e6:.1f} MB "
        f"| {max(features):.1e} "
        f"| {max(c['probability']['largest'] for c in comparisons):.1e} "
        f"| {low:.3f} to {high:.3f} | {sum(c['flips'] for c in comparisons)} |"
    )


if __name__ == "__main__":
    main()
