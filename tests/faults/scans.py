"""Helpers for tests that disturb whole scans."""

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers import encoded, mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess

SCRIPT = Path(sysconfig.get_path("scripts")) / "nsfwscan"


def many(folder: Path, count: int) -> list[Path]:
    """Write small images, no two the same, with 16 different scores."""
    folder.mkdir()
    shades = [encoded(Image.new("RGB", (9, 9), (17 * i, 0, 0)), "PNG") for i in range(16)]
    made = [folder / f"{i:06}.png" for i in range(count)]
    for i, path in enumerate(made):
        path.write_bytes(shades[i % 16] + i.to_bytes(4, "big"))  # decoders ignore it
    return made


def redness(path: Path) -> Path:
    """Write a model that scores images by their redness, almost without computing."""
    return mean_model(path, Manifest(name="redness", preprocess=Preprocess(size=8)))


def start(*arguments: str | Path, **more: Any) -> subprocess.Popen[str]:
    """Start the command with pipes for both output streams."""
    command = [SCRIPT, *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **(streams | more))


def parsed(lines: str) -> list[dict[str, Any]]:
    """Parse a report in JSON lines."""
    return [json.loads(line) for line in lines.splitlines()]


def results(records: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the records by path, without the difference between cached and new scores."""
    return {one["path"]: {**one, "cached": None} for one in records}


def feed(fifo: Path, paths: Iterable[Path]) -> int:
    """Open the list that a scan reads, write some paths, and keep the list open."""
    descriptor = os.open(fifo, os.O_WRONLY)
    os.write(descriptor, b"".join(os.fsencode(path) + b"\n" for path in paths))
    return descriptor
