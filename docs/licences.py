"""The packages in the container images and their licences, from the locks."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCKS = {
    "scan-cpu": "scan",
    "scan-gpu": "scan-gpu",
    "scan-cluster": "scan-cluster",
    "train": "train-gpu",
}
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


def packages(lock: Path) -> dict[str, str]:
    """Give the packages that a lock installs on Linux, with their versions."""
    lines = re.findall(r"^([a-z0-9._-]+)==([^ ]+)( ;[^\\\n]*)?", lock.read_text(), re.MULTILINE)
    return {
        name: version for name, version, marker in lines if not re.search("win32|never", marker)
    }


def stated(page: str) -> dict[str, str]:
    """Give the licence that the page states for each package."""
    table = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    return {name: licence for names, licence in table for name in names.split(", ")}


def licence(package: str, version: str, before: Mapping[str, str]) -> str:
    """Give the licence that a package states, in a few words.

    Parameters
    ----------
    package, version
        As the lock has them.
    before
        The licences on the page. They hold where this version is not installed.
    """
    if package in _ELSEWHERE:
        return _ELSEWHERE[package]
    try:
        fields = metadata(package)
    except PackageNotFoundError:
        return before.get(package, NVIDIA if package.startswith("nvidia-") else "not known")
    if package in before and fields["Version"] != version:
        return before[package]
    classifiers = fields.get_all("Classifier") or []
    found = [
        *(fields.get_all("License-Expression") or []),
        *(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")),
        *(fields.get_all("License") or []),
    ]
    short = (one for one in found if one and len(one) <= _LONGEST_NAME and "\n" not in one)
    return next(short, "not known")


def rows(locks: Path, page: str) -> list[tuple[str, str, str]]:
    """List the packages of one licence and the same images in one row each.

    Parameters
    ----------
    locks
        The folder of the locks.
    page
        The text of docs/licences.md as it is.
    """
    inside = {image: packages(locks / f"{lock}.txt") for image, lock in LOCKS.items()}
    versions = {name: version for locked in inside.values() for name, version in locked.items()}
    before = stated(page)
    found: dict[tuple[str, str], list[str]] = {}
    for package, version in sorted(versions.items()):
        images = ", ".join(image for image, locked in inside.items() if package in locked)
        found.setdefault((licence(package, version, before), images), []).append(package)
    return [(", ".join(names), said, images) for (said, images), names in sorted(
        found.items(), key=lambda row: (-len(row[0][1]), row[1]))]  # fmt: skip
