"""Take the screenshots of the review page: ``python docs/review_screenshots.py``.

Needs Chromium, Playwright and the test images of scikit-image, which are harmless.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import skimage
from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
PHOTOS = {
    "2019/beach": ("astronaut.png", "coffee.png", "chelsea.png"),
    "2021/city": ("rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "brick.png"),
    "2024": ("retina.jpg", "color.png", "ihc.png", "hubble_deep_field.jpg", "camera.png"),
}
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 720}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 720}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 720}, "color_scheme": "light"},
}


def make_review(home: Path) -> Path:
    """Scan the test images and write their review."""
    data = Path(skimage.__file__).parent / "data"
    for folder, names in PHOTOS.items():
        (home / "photos" / folder).mkdir(parents=True)
        for name in names:
            shutil.copy(data / name, home / "photos" / folder)
    cut = (data / "rocket.jpg").read_bytes()[:40_000]
    (home / "photos" / "2024" / "DSC0042.jpg").write_bytes(cut)
    program = [sys.executable, "-m", "nsfwscan"]
    for command in (
        ["photos", "-f", "jsonl", "-o", "results.jsonl", "--threshold", "0.1", "--exit-zero"],
        ["review", "results.jsonl", "-o", "review", "--min-score", "0"],
    ):
        subprocess.run([*program, *command], cwd=home, check=False)  # noqa: S603 - our program
    return home / "review" / "index.html"


def decide(page: Page) -> None:
    """Decide about some images, and point at one."""
    page.locator(".cell").first.focus()
    for key in ("s", "i", "s", "ArrowRight", "s"):
        page.keyboard.press(key)
    page.locator(".cell").nth(1).hover()
    page.wait_for_timeout(500)


def main() -> None:
    """Write ``review-light.png``, ``review-dark.png`` and ``review-narrow.png``."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        url = make_review(Path(home)).as_uri()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, options in VIEWS.items():
            page = browser.new_context(**options).new_page()
            page.goto(url)
            decide(page)
            taken = Image.open(io.BytesIO(page.screenshot()))
            taken.convert("RGB").quantize(256).save(HERE / f"review-{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
