"""Install what `make dist` has built, each way that the README names, and use it.

::

    python tests/installs.py dist

Needs a package index, which tests do not; `make dist` calls it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers import encoded
from PIL import Image

ROOT = Path(__file__).parent.parent
GPU_EXTRAS = {
    "gpu": {"onnxruntime-gpu": "1.26.", "nvidia-cudnn-cu12": "9.10."},
    "train,gpu": {"onnxruntime-gpu": "1.26.", "nvidia-cudnn-cu12": "9.10.", "tensorflow": "2.21."},
    "gpu-cuda13": {"onnxruntime-gpu": "1."},
}
"""What each must come to; none of them may bring the engine for the CPU."""


def run(*command: str | Path, code: int = 0) -> str:
    """Run a command, which is to end with a code; give what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != code:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}, not {code}:\n"
                 f"{done.stdout}{done.stderr}")  # fmt: skip
    return done.stdout + done.stderr


def environment(folder: Path, *requirements: str | Path) -> Path:
    """Make an empty environment, install something into it, and give its folder of programs."""
    run(sys.executable, "-m", "venv", folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip: list[str | Path] = [
        programs / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    run(*pip, *requirements)
    return programs


def size(folder: Path) -> float:
    """Give the megabytes that an environment takes, pip's own left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    own = [path for path in files if "pip" in path.parts or "setuptools" in path.parts]
    return (sum(p.stat().st_size for p in files) - sum(p.stat().st_size for p in own)) / 1e6


def main() -> None:
    """Install and use; end with a sentence at the first thing that does not hold."""
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    (source,) = Path(sys.argv[1]).glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        photo = here / "photos" / "a.jpg"
        photo.parent.mkdir()
        photo.write_bytes(encoded(Image.new("RGB", (300, 200), "green"), "JPEG"))
        for what, built in (("wheel", wheel), ("source", source)):
            programs = environment(here / what, f"nsfwscan[cpu] @ {built.resolve().as_uri()}")
            print(f"{what}, [cpu]: {size(here / what):.0f} MB")
            assert "1 safe" in run(programs / "nsfwscan", photo.parent)
            assert "FAILED" not in run(programs / "nsfwscan", "doctor", "--device", "cpu")
            listed = run(programs / "python", "-m", "pip", "list", "--format", "freeze").lower()
            assert "tensorflow" not in listed, listed
        programs = environment(here / "bare", wheel)
        told = run(programs / "nsfwscan", photo.parent, code=2)
        assert "install onnxruntime" in told, told
        run(programs / "nsfwscan", "doctor", code=1)
        for extras, wanted in GPU_EXTRAS.items():
            report = here / "report.json"
            run(programs / "python", "-m", "pip", "install", "--dry-run", "--ignore-installed",
                "--quiet", "--disable-pip-version-check", "--report", report,
                f"nsfwscan[{extras}] @ {wheel.resolve().as_uri()}")  # fmt: skip
            found = {
                one["metadata"]["name"].lower(): one["metadata"]["version"]
                for one in json.loads(report.read_text())["install"]
            }
            told = ", ".join(f"{package} {found.get(package)}" for package in wanted)
            print(f"[{extras}]: {len(found)} packages, {told}")
            assert "onnxruntime" not in found, "both engines"
            for package, version in wanted.items():
                assert found[package].startswith(version), told


if __name__ == "__main__":
    main()
