"""Measure the review: ``python benchmarks/review.py PHOTOS [--images 20000]``.

Prints the time of writing a review of PHOTOS as a ratio to that of decoding them for the default
model, measured in turns; the peak memory of writing a review of many small images, and of a tenth
of them; and, in Chromium, how long a page of many images takes to open and the longest task while
it scrolls.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nsfwscan import Preprocess
from nsfwscan.decoding.protocol import Digests
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.supervision import Supervisor
from nsfwscan.record import Record
from nsfwscan.reports.progress import no_progress
from nsfwscan.review.build import write_review
from nsfwscan.review.page import render
from nsfwscan.sources.entry import Entry
from nsfwscan.util.escape import to_json
from nsfwscan.util.parallel import available_cores, map_ahead

OPTIONS = ScanOptions()
ROUNDS = 3


def decode_all(paths: list[Path]) -> None:
    """Decode each file for the default model in the workers, and drop the pixels."""
    supervisor = Supervisor()

    def decode(path: Path) -> None:
        with closing(supervisor.workers(str(path))) as workers:
            for worker in workers:
                if isinstance(worker.read(Entry(str(path)), OPTIONS), Digests):
                    worker.decode(Preprocess(size=224, resize=256), OPTIONS)

    for _ in map_ahead(decode, paths, workers=available_cores(), window=64):
        pass


def records(paths: list[Path]) -> Iterator[Record]:
    """Make a flagged record of each file."""
    import hashlib

    for path in paths:
        data = path.read_bytes()
        yield Record(
            path=str(path), status="flagged", score=0.9, threshold=0.5, reason=None, detail=None,
            sha256=hashlib.sha256(data).hexdigest(), sha1=hashlib.sha1(data).hexdigest(),
            width=1, height=1, frames=1, model="0" * 12, device="cpu",
        )  # fmt: skip


def writing(paths: list[Path], folder: Path) -> None:
    """Print the cost of writing a review."""
    results = folder / "r.jsonl"
    results.write_text("".join(to_json(one.to_dict()) + "\n" for one in records(paths)))
    ratios = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        decode_all(paths)
        between = time.perf_counter()
        write_review(
            results, folder / "review", base=Path(), least=None, single=False, options=OPTIONS,
            say=print, progress=no_progress,
        )  # fmt: skip
        ended = time.perf_counter()
        shutil.rmtree(folder / "review")
        ratios.append((ended - between) / (between - started))
    print(f"{len(paths):,} images: writing the review takes {statistics.median(ratios):.2f} times")
    print(f"as long as decoding them ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")


def noise(folder: Path, images: int) -> list[Path]:
    """Write small JPEG images, no two of which are similar."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = [folder / f"{i:06}.jpg" for i in range(images)]
    for path in paths:
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
        small.resize((160, 120), Image.Resampling.BICUBIC).save(path, "JPEG")
    return paths


_MEASURED = """
import resource, sys
from pathlib import Path
from nsfwscan.limits import ScanOptions
from nsfwscan.reports.progress import no_progress
from nsfwscan.review.build import write_review
results, out = map(Path, sys.argv[1:])
write_review(results, out, base=Path(), least=None, single=False, options=ScanOptions(), say=print,
             progress=no_progress)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(images: int, folder: Path) -> None:
    """Print the peak memory of the process that writes a review, without its workers."""
    paths = noise(folder / "noise", images)
    for count in (images // 10, images):
        results = folder / "noise.jsonl"
        results.write_text("".join(to_json(one.to_dict()) + "\n" for one in records(paths[:count])))
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, results, folder / "noise-review"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        took = time.perf_counter() - started
        print(f"{count:,} images: the review takes {took:.0f} s and {int(done.stdout) >> 10} MiB")
        shutil.rmtree(folder / "noise-review")


def opening(thumbnail: Path, images: int, folder: Path) -> None:
    """Print how a page of many images behaves in Chromium."""
    from playwright.sync_api import sync_playwright

    (folder / "thumbnails").mkdir(exist_ok=True)
    shutil.copy(thumbnail, folder / "thumbnails" / "x.jpg")
    rows = [
        [
            f"photos/{i % 400}/{i}.jpg", "safe", i / images, None, None, f"{i:064x}", f"{i:040x}",
            4, 3, 1, 0, None, None, 1000, i, "thumbnails/x.jpg", None, "./x",
        ]
        for i in range(images)
    ]  # fmt: skip
    facts = {
        "id": "x", "base": "/", "threshold": 0.5, "histogram": [20] * 1001,
        "flagged": images // 2, "unlisted": 0, "groups": list(range(images)), "points": [],
    }  # fmt: skip
    page = folder / "index.html"
    page.write_text("".join(render("many", rows, lambda: facts, single=False)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        opened = browser.new_page(viewport={"width": 1280, "height": 800})
        opened.add_init_script(
            "window.longest = 0; new PerformanceObserver(list => list.getEntries().forEach("
            "e => { window.longest = Math.max(window.longest, e.duration); }))"
            ".observe({ type: 'longtask' });"
        )
        started = time.perf_counter()
        opened.goto(page.as_uri())
        opened.locator(".cell img").first.wait_for()
        print(f"{images:,} images: the page opens in {time.perf_counter() - started:.2f} s")
        opened.evaluate("window.longest = 0")
        for _ in range(100):
            opened.mouse.move(800, 500)
            opened.mouse.wheel(0, 3000)
            opened.wait_for_timeout(20)
        opened.locator(".cell").first.focus()
        opened.keyboard.press("s")
        opened.wait_for_timeout(300)
        longest = opened.evaluate("window.longest")
        print(f"longest task while it scrolls and one decision is made: {longest:.0f} ms")
        browser.close()


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    given = parser.parse_args()
    paths = sorted(path for path in given.photos.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as folder:
        writing(paths, Path(folder))
        memory(given.images, Path(folder))
        opening(paths[0], given.images, Path(folder))


if __name__ == "__main__":
    main()
