"""Fuzz for as long as you like: one scan of damaged images, then each parser of our own.

::

    python -m fuzz.long MINUTES FOLDER

Half the time goes to images, a list without end through one scan. What crashed a decoder, ran
away or broke a parser is kept in the folder.
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
TOLD_EVERY = 20_000


def scan_damaged(seconds: float, keep: Path) -> bool:
    """Scan damaged images; tell whether each had one record, and none ended a process."""
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
            if not reasons.total() % TOLD_EVERY:
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
    """Say how much memory a scan takes now (Linux)."""
    try:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        pids = [pid, *(int(child) for task in tasks for child in task.read_text().split())]
        sizes = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in pids]
    except OSError:
        return "memory not known"
    return "resident: " + ", ".join(f"{4096 * size / 1e6:.0f} MB" for size in sizes)


def fuzz_parsers(seconds: float, keep: Path) -> bool:
    """Fuzz each parser for its share of the time; tell whether all held."""
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
        said = done.stderr.splitlines() or [""]
        runs = [line for line in said if line.startswith(("Done ", "#"))]
        print(f"{target}: {'BROKE' if done.returncode else 'held'}; {(runs or said)[-1]}",
              flush=True)  # fmt: skip
        if done.returncode:
            broken.append(target)
            print(done.stderr)
    return not broken


def main() -> None:
    """Run, and end with 1 if anything was found."""
    minutes, keep = float(sys.argv[1]), Path(sys.argv[2])
    keep.mkdir(parents=True, exist_ok=True)
    held = scan_damaged(30 * minutes, keep)
    held &= fuzz_parsers(30 * minutes, keep)
    if not held:
        print(f"what was found lies in {keep}")
    sys.exit(not held)


if __name__ == "__main__":
    main()
