"""Fuzz for a given time: one scan of damaged images, then each parser of this project.

::

    python -m fuzz.long MINUTES FOLDER

Half of the time goes to one scan of an endless list of images. The folder keeps every input that
crashed a decoder, exceeded the timeout or broke a parser.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter, deque
from pathlib import Path

from fuzz.mutants import mutants
from fuzz.targets import TARGETS
from helpers import mean_model

from nsfwscan import Manifest, Preprocess

SCRIPT = Path(sysconfig.get_path("scripts")) / "nsfwscan"
REPORT_EVERY = 20_000


def scan_damaged(seconds: float, keep: Path) -> bool:
    """Scan damaged images; return whether each has one record and none ended a process."""
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        model = mean_model(here / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
        process = subprocess.Popen(
            [SCRIPT, "--files-from", "-", "-m", model, "-f", "jsonl", "-q", "--no-cache"],
            cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        listed: deque[str] = deque()

        def make() -> None:
            until = time.monotonic() + seconds
            with process.stdin as names:  # type: ignore[union-attr]
                for file, data in mutants(1 << 62, seed=int(time.time())):
                    (here / file).write_bytes(data)
                    listed.append(file)
                    names.write(f"{file}\n")
                    names.flush()
                    if time.monotonic() > until:
                        return

        maker = threading.Thread(target=make)
        maker.start()
        reasons, sound = Counter[str](), True
        for line in process.stdout or ():
            record = json.loads(line)
            file = listed.popleft()
            reasons[str(record["reason"])] += 1
            sound &= record["path"] == file
            if record["reason"] in {"crashed", "timeout"}:
                (here / file).rename(keep / file)
            else:
                (here / file).unlink()
            if not reasons.total() % REPORT_EVERY:
                print(f"{reasons.total():,} images; {_memory(process.pid)}", flush=True)
        maker.join()
        err = process.stderr.read() if process.stderr is not None else ""
        code = process.wait()
    sound = sound and not listed and not err and code in {0, 1, 2}
    print(f"{reasons.total():,} images, {'each' if sound else 'NOT EACH'} with one record:")
    print(", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common()))
    print(f"exit code {code}; {err or 'nothing on standard error'}")
    return sound and not reasons["crashed"] and not reasons["timeout"]


def _memory(pid: int) -> str:
    """Describe the current memory of a scan (Linux)."""
    try:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        pids = [pid, *(int(child) for task in tasks for child in task.read_text().split())]
        sizes = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in pids]
    except OSError:
        return "memory unknown"
    return "resident: " + ", ".join(f"{4096 * size / 1e6:.0f} MB" for size in sizes)


def fuzz_parsers(seconds: float, keep: Path) -> bool:
    """Fuzz each parser for its share of the time; return whether all passed."""
    broken = []
    for target in TARGETS:
        corpus = keep / target
        corpus.mkdir(exist_ok=True)
        limits = [f"-max_total_time={int(seconds / len(TARGETS)) or 1}", "-timeout=10"]
        done = subprocess.run(
            [sys.executable, "-m", "fuzz.targets", target, corpus, *limits,
             f"-artifact_prefix={keep}/{target}-"],
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        lines = done.stderr.splitlines() or [""]
        runs = [line for line in lines if line.startswith(("Done ", "#"))]
        print(f"{target}: {'FAILED' if done.returncode else 'passed'}; {(runs or lines)[-1]}",
              flush=True)  # fmt: skip
        if done.returncode:
            broken.append(target)
            print(done.stderr)
    return not broken


def main() -> None:
    """Run, and exit with 1 if anything failed."""
    minutes, keep = float(sys.argv[1]), Path(sys.argv[2])
    keep.mkdir(parents=True, exist_ok=True)
    passed = scan_damaged(30 * minutes, keep)
    passed &= fuzz_parsers(30 * minutes, keep)
    if not passed:
        print(f"the failing inputs are in {keep}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
