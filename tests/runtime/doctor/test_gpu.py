from collections.abc import Iterable

import pytest

from nsfwscan.doctor.findings import Finding, State
from nsfwscan.doctor.gpu import graphics
from nsfwscan.doctor.nvidia import Driver, Gpu, Libraries, NoDriver, engine_libraries

CARD = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
DRIVER = Driver("575.57.08", (12, 9), (CARD,))
GOOD = Libraries((12, 9), (9, 10, 2), devices=1)
NONE = Libraries(None, None, engine_libraries(12))
DEVICES = ("auto", "cpu", "cuda", "cuda:1")


def failed(findings: Iterable[Finding]) -> list[str]:
    return [finding.about for finding in findings if finding.state is State.FAILED]


@pytest.mark.parametrize("device", DEVICES)
def test_a_machine_without_a_driver_is_sound_unless_a_gpu_is_wanted(device: str) -> None:
    absent, wanted = NoDriver("Library Not Found"), device.startswith("cuda")
    assert failed(graphics(absent, GOOD, 12, device)) == (["driver"] if wanted else [])
    assert failed(graphics(absent, None, 12, device)) == (["CUDA", "driver"] if wanted else [])
    assert failed(graphics(absent, NONE, 12, device)) == (
        ["CUDA libraries", "driver"] if wanted else []
    )
    nothing = Driver("575.57.08", (12, 9), ())
    assert failed(graphics(nothing, GOOD, 12, device)) == (["GPU"] if wanted else [])


@pytest.mark.parametrize("device", DEVICES)
def test_a_driver_that_does_not_answer_wants_a_restart_and_no_install(device: str) -> None:
    broken = NoDriver("RM has detected an NVML/RM version mismatch.", installed=True)
    found = list(graphics(broken, GOOD, 12, device))
    assert failed(found) == ([] if device == "cpu" else ["driver"])
    assert "no NVIDIA driver" not in found[-1].said
    assert str(found[-1].advice).startswith("restart")


def test_a_card_that_is_silent_hides_no_other() -> None:
    lost = Driver("575.57.08", (12, 9), (CARD,), ("GPU 0 does not answer (GPU is lost)",))
    found = list(graphics(lost, GOOD, 12, "auto"))
    assert failed(found) == ["GPU"]
    assert found[-1].state is State.OK
    assert "GTX 1070" in found[-1].said


def test_a_card_that_is_not_used_is_told() -> None:
    first, *_ = graphics(DRIVER, None, 12, "auto")
    assert (first.about, first.state) == ("CUDA", State.NOTE)
    assert "so no GPU is used" in first.said
    assert "pip uninstall -y onnxruntime," in str(first.advice)


def test_a_card_with_what_goes_with_it_is_sound() -> None:
    found = list(graphics(DRIVER, GOOD, 12, "cuda"))
    assert [finding.about for finding in found] == ["CUDA", "cuDNN", "driver", "GPU 0"]
    assert failed(found) == []
    assert "compute capability 6.1" in found[3].said


@pytest.mark.parametrize(("line", "extra"), [(12, "nsfwscan[gpu]"), (13, "nsfwscan[gpu-cuda13]")])
def test_libraries_that_are_missing_are_told_by_their_files(line: int, extra: str) -> None:
    absent = engine_libraries(line)[1:3]
    modern = Driver("590.44", (13, 1), (Gpu("GeForce RTX 4090", (8, 9), 24 << 30),))
    found = list(graphics(modern, Libraries((line, 0), (9, 10, 2), absent), line, "auto"))
    assert failed(found) == ["CUDA libraries"]
    assert found[0].said == f"{absent[0]}, {absent[1]} cannot be loaded"
    assert extra in str(found[0].advice)


def test_a_card_that_is_too_old_is_no_failure_unless_one_is_wanted() -> None:
    old = Gpu("GeForce GTX 970", (5, 2), 4 << 30)
    both = Driver("575.57.08", (12, 9), (old, CARD))
    assert failed(graphics(both, GOOD, 12, "auto")) == []
    assert failed(graphics(both, GOOD, 12, "cuda")) == ["GPU 0"]


def test_all_that_does_not_go_with_a_card_is_told_unless_it_is_not_wanted() -> None:
    old = Driver("470.57.02", (11, 4), (CARD,))
    new = Libraries((12, 9), (9, 11, 0))
    found = [one for one in graphics(old, new, 12, "auto") if one.about == "GPU 0"]
    assert [one.state for one in found] == [State.FAILED] * 2
    assert ["driver" in one.said for one in found] == [True, False]
    assert failed(graphics(old, new, 12, "cpu")) == []
