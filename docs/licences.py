"""What the images carry besides this project, and under which licences: from the locks."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCKS = {"scan-cpu": "scan", "scan-gpu": "scan-gpu", "train": "train-gpu"}
"""The lock that each image is installed from."""

NVIDIA = "NVIDIA's own, see below"
_ELSEWHERE = {
    "namex": "Apache-2.0",
    "nvidia-nccl-cu12": "BSD-3-Clause",
    "onnxruntime-gpu": "MIT License",
}
"""Of packages that are not installed where this is written, or that do not say it themselves."""

_LONGEST_NAME = 70
"""A field that is longer holds the licence's text, not its name."""


def packages(lock: Path) -> list[str]:
    """Name the packages of a lock that Linux gets."""
    lines = re.findall(r"^([a-z0-9._-]+)==[^ ]+( ;[^\\\n]*)?", lock.read_text(), re.MULTILINE)
    return sorted({name for name, marker in lines if not re.search("win32|never", marker)})


def licence(package: str) -> str:
    """Say in a few words what a package says of its licence."""
    if package in _ELSEWHERE:
        return _ELSEWHERE[package]
    try:
        fields = metadata(package)
    except PackageNotFoundError:
        return NVIDIA if package.startswith("nvidia-") else "not known"
    classifiers = fields.get_all("Classifier") or []
    stated = [
        *(fields.get_all("License-Expression") or []),
        *(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")),
        *(fields.get_all("License") or []),
    ]
    short = (one for one in stated if one and len(one) <= _LONGEST_NAME and "\n" not in one)
    return next(short, "not known")


def rows(locks: Path) -> list[tuple[str, str, str]]:
    """List each package, its licence and the images that carry it; alike ones in one row."""
    inside = {image: packages(locks / f"{lock}.txt") for image, lock in LOCKS.items()}
    found: dict[tuple[str, str], list[str]] = {}
    for package in sorted(set().union(*inside.values())):
        images = ", ".join(image for image, names in inside.items() if package in names)
        found.setdefault((licence(package), images), []).append(package)
    return [(", ".join(names), said, images) for (said, images), names in sorted(
        found.items(), key=lambda row: (-len(row[0][1]), row[1]))]  # fmt: skip
