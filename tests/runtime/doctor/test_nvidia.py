import ctypes.util
import sys
from pathlib import Path

import pytest

from nsfwscan.doctor import nvidia
from nsfwscan.doctor.nvidia import (
    Driver,
    Gpu,
    Libraries,
    NoDriver,
    engine_libraries,
    incompatibilities,
    load_libraries,
    missing_libraries,
    query_driver,
)

GTX_1070 = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
GTX_970 = Gpu("GeForce GTX 970", (5, 2), 4 << 30)
V100 = Gpu("Tesla V100", (7, 0), 16 << 30)
RTX_2060 = Gpu("GeForce RTX 2060", (7, 5), 6 << 30)
NEW, OLD, OLDER = "580.82.07", "550.54.15", "470.256.02"
CUDA_12, CUDA_13 = (12, 9), (13, 0)


@pytest.mark.parametrize(
    ("gpu", "version", "cuda", "cudnn", "fault", "fix"),
    [
        (GTX_1070, OLD, CUDA_12, (9, 10, 2), None, None),
        (GTX_1070, OLD, CUDA_12, (9, 11, 0), "cuDNN 9.11.0 does not run", "nvidia-cudnn-cu12<9.11"),
        (GTX_1070, NEW, CUDA_13, (9, 10, 2), "CUDA 13 does not support it", "nsfwscan[gpu]"),
        (V100, NEW, CUDA_13, (9, 13, 0), "older than Turing", "nsfwscan[gpu]"),
        (GTX_1070, OLDER, CUDA_12, (9, 10, 2), "CUDA 12 needs a newer", "525 to 580, the last"),
        (GTX_970, OLD, CUDA_12, (9, 11, 0), "older than Pascal", "--device cpu"),
        (GTX_1070, "rhel-570", CUDA_12, (9, 10, 2), None, None),
        (GTX_1070, "rhel", CUDA_12, (9, 10, 2), None, None),
        (V100, OLD, CUDA_12, (9, 13, 0), None, None),
        (RTX_2060, NEW, CUDA_13, (9, 13, 0), None, None),
        (RTX_2060, OLD, CUDA_13, (9, 13, 0), "CUDA 13 needs a newer driver", "580"),
        (RTX_2060, OLDER, CUDA_12, (9, 10, 2), "CUDA 12 needs a newer driver", "525"),
        (GTX_1070, OLD, None, None, None, None),
    ],
)
def test_an_incompatibility_has_a_fault_and_a_fix(
    gpu: Gpu,
    version: str,
    cuda: tuple[int, int] | None,
    cudnn: tuple[int, int, int] | None,
    fault: str | None,
    fix: str | None,
) -> None:
    found = incompatibilities(gpu, Driver(version, (13, 0), (gpu,)), Libraries(cuda, cudnn))
    if fault is None or fix is None:
        assert found == []
    else:
        assert fault in found[0][0]
        assert fix in found[0][1]


def test_all_incompatibilities_are_reported() -> None:
    found = incompatibilities(
        GTX_1070, Driver(OLDER, (11, 4), (GTX_1070,)), Libraries(CUDA_12, (9, 11, 0))
    )
    assert ["driver" in said for said, _ in found] == [True, False]


def test_the_engine_s_libraries_differ_by_cuda_major_version() -> None:
    """Sources: `ldd` for onnxruntime-gpu 1.26.0, the wheel's metadata for 1.31.1."""
    twelve, thirteen = engine_libraries(12), engine_libraries(13)
    if sys.platform == "linux":
        assert set(twelve) == {
            "libcublasLt.so.12", "libcublas.so.12", "libcurand.so.10", "libcufft.so.11",
            "libcudart.so.12", "libcudnn.so.9",
        }  # fmt: skip
    assert len(set(twelve) & set(thirteen)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs the names of Linux libraries")
def test_libraries_that_cannot_be_loaded_are_listed() -> None:
    assert missing_libraries(["libc.so.6", "libnothing.so.1"]) == ["libnothing.so.1"]


def test_the_driver_and_libraries_of_this_machine_can_be_queried() -> None:
    """The result depends on whether the machine has a GPU. Both are valid."""
    found = query_driver()
    if isinstance(found, NoDriver):
        assert found.why
    else:
        assert all(gpu.capability >= (3, 0) and gpu.memory > 1 << 28 for gpu in found.gpus)
    for major in (12, 13):
        loaded = load_libraries(major)
        assert loaded.cuda is None or loaded.cuda[0] == major
        assert loaded.cudnn is None or loaded.cudnn[0] == 9
        assert (loaded.cuda is None) == (engine_libraries(major)[0] in loaded.absent)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a library named as on Linux")
def test_a_library_with_other_contents_has_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ctypes.util.find_library("c")
    assert real is not None
    monkeypatch.setattr(nvidia, "engine_libraries", lambda _: (real, real))
    assert load_libraries(12) == Libraries(None, None)
