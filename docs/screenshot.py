"""Draw the README's screenshot from a real scan: ``python docs/screenshot.py``.

Needs the test images of scikit-image, which the dev extra installs.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import skimage
from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parent / "screenshot.svg"
COMMAND = "nsfwscan ./photos --threshold 0.1"
WIDTH = 88


def make_photos(folder: Path) -> None:
    """Make the folder that is scanned: nine photos, a truncated one and a video."""
    data = Path(skimage.__file__).parent / "data"
    camera = folder / "camera"
    camera.mkdir(parents=True)
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "logo.png", "rocket.jpg",
                 "retina.jpg", "no_time_for_that_tiny.gif"):  # fmt: skip
        shutil.copy(data / name, folder)
    for name in ("motorcycle_left.png", "motorcycle_right.png"):
        shutil.copy(data / name, camera)
    (camera / "DSC0042.jpg").write_bytes((data / "rocket.jpg").read_bytes()[:40_000])
    (camera / "clip.mp4").write_bytes(bytes(2000))


def scan(home: Path) -> str:
    """Run the command in a folder; give what a terminal gets, colours included."""
    _, *arguments = COMMAND.split()
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "nsfwscan", *arguments, "--no-cache", "--color", "always"],
        cwd=home, env=os.environ | {"COLUMNS": str(WIDTH)}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return f"$ {COMMAND}\n{done.stdout}"


def draw(shown: str) -> str:
    """Draw a terminal as SVG, without the web fonts that rich would refer to."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(shown), end="")
        svg = console.export_svg(title="nsfwscan", unique_id="scan")
    svg = svg.replace("Fira Code, monospace", "monospace")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        make_photos(Path(name) / "photos")
        TARGET.write_text(draw(scan(Path(name))), encoding="utf-8")
