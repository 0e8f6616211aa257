import sys

import pytest

from nsfwscan.nvidia import Driver, Gpu, Libraries, driver, libraries, misfit, missing

GTX_1070 = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
V100 = Gpu("Tesla V100", (7, 0), 16 << 30)
RTX_2060 = Gpu("GeForce RTX 2060", (7, 5), 6 << 30)
NEW, OLD, OLDER = "580.82.07", "550.54.15", "470.256.02"
CUDA_12, CUDA_13 = (12, 9), (13, 0)


@pytest.mark.parametrize(
    ("gpu", "version", "cuda", "cudnn", "wrong", "advice"),
    [
        (GTX_1070, OLD, CUDA_12, (9, 10, 2), None, None),
        (GTX_1070, OLD, CUDA_12, (9, 11, 0), "cuDNN 9.11.0 does not run", "nvidia-cudnn-cu12<9.11"),
        (GTX_1070, NEW, CUDA_13, (9, 10, 2), "CUDA 13 has no code", "nsfwscan[gpu]"),
        (V100, NEW, CUDA_13, (9, 13, 0), "older than Turing", "nsfwscan[gpu]"),
        (V100, OLD, CUDA_12, (9, 13, 0), None, None),
        (RTX_2060, NEW, CUDA_13, (9, 13, 0), None, None),
        (RTX_2060, OLD, CUDA_13, (9, 13, 0), "CUDA 13 needs a newer driver", "580"),
        (RTX_2060, OLDER, CUDA_12, (9, 10, 2), "CUDA 12 needs a newer driver", "525"),
        (GTX_1070, OLD, None, None, None, None),
    ],
)
def test_what_does_not_go_together_is_told_with_what_to_do(
    gpu: Gpu,
    version: str,
    cuda: tuple[int, int] | None,
    cudnn: tuple[int, int, int] | None,
    wrong: str | None,
    advice: str | None,
) -> None:
    found = misfit(gpu, Driver(version, (13, 0), (gpu,)), Libraries(cuda, cudnn))
    if wrong is None or advice is None:
        assert found is None
    else:
        assert found is not None
        assert wrong in found[0]
        assert advice in found[1]


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_libraries_that_cannot_be_loaded_are_named() -> None:
    assert missing(["libc.so.6", "libnothing.so.1"]) == ["libnothing.so.1"]


def test_this_machine_is_asked() -> None:
    """With a card or without one: both are answers."""
    found = driver()
    if isinstance(found, str):
        assert found.startswith(("no NVIDIA driver", "the NVIDIA driver does not answer"))
    else:
        assert all(gpu.capability >= (3, 0) and gpu.memory > 1 << 28 for gpu in found.gpus)
    for line in (12, 13):
        loaded = libraries(line)
        assert loaded.cuda is None or loaded.cuda[0] == line
        assert loaded.cudnn is None or loaded.cudnn[0] == 9
