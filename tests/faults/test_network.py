"""The kernel kills every process that opens a network socket."""

import ctypes
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from faults.scans import many, redness, start

NUMBERS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""AUDIT_ARCH (linux/audit.h) and the number of the system call ``socket``, by machine."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in NUMBERS, reason="needs Linux's seccomp"
)


def forbid_sockets() -> None:
    """Make the kernel kill this process and its children when they open a non-local socket.

    The filter is classic BPF, see seccomp(2). It loads the architecture, the number of the call,
    and the first argument of ``socket``, which is the address family. AF_UNIX is 1.
    """
    architecture, socket = NUMBERS[platform.machine()]
    load, equal, end = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, kill = 0x7FFF0000, 0x80000000
    program = [
        (load, 0, 0, 4), (equal, 0, 5, architecture),
        (load, 0, 0, 0), (equal, 0, 2, socket),
        (load, 0, 0, 16), (equal, 0, 1, 1),
        (end, 0, 0, allow), (end, 0, 0, kill),
    ]  # fmt: skip
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, filter_mode, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp")


@pytest.fixture(scope="module")
def seccomp() -> None:
    """Skip if the kernel does not accept the filter."""
    try:
        subprocess.run([sys.executable, "-c", ""], preexec_fn=forbid_sockets, check=True)
    except subprocess.SubprocessError:
        pytest.skip("the kernel or the container allows no seccomp filters")


@pytest.mark.usefixtures("seccomp")
def test_the_kernel_kills_a_process_that_opens_a_network_socket() -> None:
    for family, code in (("AF_INET", -31), ("AF_INET6", -31), ("AF_UNIX", 0)):
        tried = f"import socket; socket.socket(socket.{family})"
        done = subprocess.run([sys.executable, "-c", tried], preexec_fn=forbid_sockets, check=False)
        assert done.returncode == code


@pytest.mark.usefixtures("seccomp")
@pytest.mark.slow
def test_a_scan_opens_no_network_socket(tmp_path: Path) -> None:
    """This covers the command and its workers, reports, subcommands and a URL as a model."""
    many(tmp_path / "photos", 40)
    (tmp_path / "photos" / "url.png").write_bytes(b"https://example.org/a.png")
    model = redness(tmp_path / "m.onnx")
    for arguments, code in (
        (("photos", "-m", model), 2),
        (("photos", "-m", model, "-f", "json"), 2),
        (("photos/000001.png",), 0),  # with the default model
        (("model", model), 0),
        (("cache", "info"), 0),
        (("--version",), 0),
        (("photos", "-m", "https://example.org/m.onnx"), 2),
    ):
        process = start(*arguments, cwd=tmp_path, preexec_fn=forbid_sockets)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (arguments, out, err)
        assert "crashed" not in out


@pytest.mark.usefixtures("seccomp")
def test_the_library_opens_no_network_socket(tmp_path: Path) -> None:
    many(tmp_path / "photos", 4)
    script = (
        "import sys; from nsfwscan import Classifier, scan\n"
        "print([record.status for record in scan(sys.argv[1], Classifier.load(sys.argv[2]))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "photos", redness(tmp_path / "m.onnx")],
        preexec_fn=forbid_sockets, capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    assert done.stdout == "['safe', 'safe', 'safe', 'safe']\n"


def test_a_scan_writes_only_its_cache(tmp_path: Path) -> None:
    """By default, ONNX Runtime stores a machine identifier and unsent telemetry."""
    many(tmp_path / "photos", 4)
    model, home = redness(tmp_path / "m.onnx"), tmp_path / "home"
    places = {name: str(home / name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR")}
    (home / "TMPDIR").mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    process = start(
        "photos", "-m", model, cwd=tmp_path, env=environment | places | {"HOME": str(home)}
    )
    assert process.communicate(timeout=60)[1].startswith("nsfwscan: redness on cpu")
    after = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert after == {home / "XDG_CACHE_HOME" / "nsfwscan" / "verdicts.sqlite"}
