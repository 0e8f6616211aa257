"""Whole scans that something happens to: many small images, and the command on its way."""

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
    """Make small images, no two the same, of 16 different scores."""
    folder.mkdir()
    shades = [encoded(Image.new("RGB", (9, 9), (17 * i, 0, 0)), "PNG") for i in range(16)]
    made = [folder / f"{i:06}.png" for i in range(count)]
    for i, path in enumerate(made):
        path.write_bytes(shades[i % 16] + i.to_bytes(4, "big"))  # nobody looks behind the end
    return made


def redness(path: Path) -> Path:
    """Write a model that is done with an image at once."""
    return mean_model(path, Manifest(name="redness", preprocess=Preprocess(size=8)))


def start(*arguments: str | Path, **more: Any) -> subprocess.Popen[str]:
    """Start the command; both its streams are pipes."""
    command = [SCRIPT, *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **(streams | more))


def parsed(lines: str) -> list[dict[str, Any]]:
    """Read a report in JSON lines."""
    return [json.loads(line) for line in lines.splitlines()]


def results(records: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give the records by path, less what tells an earlier scan's score from this one's."""
    return {one["path"]: {**one, "cached": None} for one in records}


def feed(fifo: Path, paths: Iterable[Path]) -> int:
    """Open a list that the scan waits for the end of, with some paths in it to begin with."""
    descriptor = os.open(fifo, os.O_WRONLY)
    os.write(descriptor, b"".join(os.fsencode(path) + b"\n" for path in paths))
    return descriptor
