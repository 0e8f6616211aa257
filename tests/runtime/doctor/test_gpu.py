import pytest

from nsfwscan.doctor.findings import Finding, State
from nsfwscan.doctor.gpu import check_cuda
from nsfwscan.doctor.nvidia import Driver, Gpu, Libraries, NoDriver, engine_libraries

GTX_1070 = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
DRIVER = Driver("575.57.08", (12, 9), (GTX_1070,))
GOOD = Libraries((12, 9), (9, 10, 2), devices=1)
NONE = Libraries(None, None, engine_libraries(12))
DEVICES = ("auto", "cpu", "cuda", "cuda:1")


def failed(findings: list[Finding]) -> list[str]:
    return [finding.about for finding in findings if finding.state is State.FAILED]


@pytest.mark.parametrize("device", DEVICES)
def test_a_missing_driver_fails_only_if_a_gpu_is_requested(device: str) -> None:
    absent, wanted = NoDriver("Library Not Found"), device.startswith("cuda")
    assert failed(check_cuda(absent, GOOD, 12, device)) == (["driver"] if wanted else [])
    assert failed(check_cuda(absent, None, 12, device)) == (["CUDA", "driver"] if wanted else [])
    assert failed(check_cuda(absent, NONE, 12, device)) == (
        ["CUDA libraries", "driver"] if wanted else []
    )
    nothing = Driver("575.57.08", (12, 9), ())
    assert failed(check_cuda(nothing, GOOD, 12, device)) == (["GPU"] if wanted else [])


@pytest.mark.parametrize("device", DEVICES)
def test_a_driver_that_does_not_answer_needs_a_restart(device: str) -> None:
    broken = NoDriver("RM has detected an NVML/RM version mismatch.", installed=True)
    found = check_cuda(broken, GOOD, 12, device)
    assert failed(found) == ([] if device == "cpu" else ["driver"])
    assert "no NVIDIA driver" not in found[-1].said
    assert str(found[-1].fix).startswith("restart")


def test_a_gpu_that_does_not_answer_does_not_hide_others() -> None:
    lost = Driver("575.57.08", (12, 9), (GTX_1070,), ("GPU 0 does not answer (GPU is lost)",))
    found = check_cuda(lost, GOOD, 12, "auto")
    assert failed(found) == ["GPU"]
    assert found[-1].state is State.OK
    assert "GTX 1070" in found[-1].said


def test_an_unused_gpu_has_a_note() -> None:
    first, *_ = check_cuda(DRIVER, None, 12, "auto")
    assert (first.about, first.state) == ("CUDA", State.NOTE)
    assert "uses no GPU" in first.said
    assert "pip uninstall -y onnxruntime," in str(first.fix)


def test_a_gpu_with_compatible_libraries_is_ok() -> None:
    found = check_cuda(DRIVER, GOOD, 12, "cuda")
    assert [finding.about for finding in found] == ["CUDA", "cuDNN", "driver", "GPU 0"]
    assert failed(found) == []
    assert "compute capability 6.1" in found[3].said


@pytest.mark.parametrize(("major", "extra"), [(12, "nsfwscan[gpu]"), (13, "nsfwscan[gpu-cuda13]")])
def test_missing_libraries_are_listed_by_file_name(major: int, extra: str) -> None:
    absent = engine_libraries(major)[1:3]
    modern = Driver("590.44", (13, 1), (Gpu("GeForce RTX 4090", (8, 9), 24 << 30),))
    found = list(check_cuda(modern, Libraries((major, 0), (9, 10, 2), absent), major, "auto"))
    assert failed(found) == ["CUDA libraries"]
    assert found[0].said == f"{absent[0]}, {absent[1]} cannot be loaded"
    assert extra in str(found[0].fix)


def test_an_unsupported_gpu_fails_only_if_a_gpu_is_requested() -> None:
    old = Gpu("GeForce GTX 970", (5, 2), 4 << 30)
    both = Driver("575.57.08", (12, 9), (old, GTX_1070))
    assert failed(check_cuda(both, GOOD, 12, "auto")) == []
    assert failed(check_cuda(both, GOOD, 12, "cuda")) == ["GPU 0"]


def test_all_incompatibilities_fail_unless_the_cpu_is_requested() -> None:
    old = Driver("470.57.02", (11, 4), (GTX_1070,))
    new = Libraries((12, 9), (9, 11, 0))
    found = [one for one in check_cuda(old, new, 12, "auto") if one.about == "GPU 0"]
    assert [one.state for one in found] == [State.FAILED] * 2
    assert ["driver" in one.said for one in found] == [True, False]
    assert failed(check_cuda(old, new, 12, "cpu")) == []
