"""Trees of files for tests of what happens after a scan, and what they are to the byte."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nsfwscan.util.escape import to_json

OLD = 1_000_000_000_123_456_789
"""A time stamp in nanoseconds."""


def tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files with old time stamps, also of their folders."""
    for n, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(OLD, OLD + n))
    for n, inner in enumerate([*folder.rglob("*"), folder]):
        if inner.is_dir():
            os.utime(inner, ns=(OLD, OLD - n))
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return the mode, the time stamp and the content of everything below a folder."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        info = path.lstat()
        content = b""
        if stat.S_ISLNK(info.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(info.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = info.st_mode, info.st_mtime_ns, content
    return found


def record(path: str, content: bytes, **changes: Any) -> dict[str, Any]:
    """Return the record of a flagged image."""
    return {
        "schema": 2, "path": path, "status": "flagged", "score": 0.9, "threshold": 0.5,
        "reason": None, "detail": None, "sha256": hashlib.sha256(content).hexdigest(),
        "sha1": hashlib.sha1(content).hexdigest(), "width": 1, "height": 1, "frames": 1,
        "model": "0" * 12, "device": "cpu", "cached": False, "views": 0,
    } | changes  # fmt: skip


def report(target: Path, records: Iterable[dict[str, Any]]) -> Path:
    """Write a report in JSON lines."""
    target.write_text("".join(f"{to_json(one)}\n" for one in records))
    return target


def reported(target: Path, base: Path, *names: str) -> Path:
    """Write a report that flags files, by their path below a folder."""
    return report(target, [record(name, (base / name).read_bytes()) for name in names])


def decided(target: Path, base: Path, verdicts: Mapping[str, str]) -> Path:
    """Write decisions about files, by their path below a folder."""
    decisions = [
        {
            name: value
            for name, value in record(path, (base / path).read_bytes()).items()
            if name in {"path", "sha256", "sha1", "status", "score"}
        }
        | {"decision": verdict}
        for path, verdict in verdicts.items()
    ]
    target.write_text(json.dumps({"schema": 1, "base": str(base), "decisions": decisions}))
    return target
