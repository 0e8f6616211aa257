from collections.abc import Iterable

import pytest

from nsfwscan.cachefile import default_path
from nsfwscan.doctor import Finding, State, examine, graphics, wheels
from nsfwscan.nvidia import Driver, Gpu, Libraries

CARD = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
DRIVER = Driver("575.57.08", (12, 9), (CARD,))
GOOD = Libraries((12, 9), (9, 10, 2))


def failed(findings: Iterable[Finding]) -> list[str]:
    return [finding.about for finding in findings if finding.state is State.FAILED]


def test_this_machine_is_found_in_order() -> None:
    findings = list(examine("cpu"))
    assert failed(findings) == []
    order = [finding.about for finding in findings]
    wanted = ["Python", "nsfwscan", "engine", "providers", "driver", "default model",
              "inference on cpu", "formats", "cache"]  # fmt: skip
    assert [about for about in order if about in wanted] == wanted
    formats = next(finding for finding in findings if finding.about == "formats")
    assert "HEIF" in formats.said
    assert "Photoshop" in formats.said


def test_a_damaged_cache_is_found() -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_text("no cache, but long enough to be looked into" * 9)
    assert failed(examine("cpu")) == ["cache"]


@pytest.mark.parametrize(
    ("cpu", "gpu", "state", "said"),
    [
        ("1.31.1", None, State.OK, "onnxruntime 1.31.1"),
        (None, "1.26.0", State.OK, "onnxruntime-gpu 1.26.0"),
        ("1.31.1", "1.26.0", State.FAILED, "are both installed and share one folder"),
        (None, None, State.FAILED, "no inference engine"),
        (None, "1.27.0", State.FAILED, "onnxruntime-gpu 1.27.0 is broken"),
    ],
)
def test_wheels_that_do_not_work_are_named_with_what_mends_them(
    cpu: str | None, gpu: str | None, state: State, said: str
) -> None:
    found = wheels(cpu, gpu)
    assert found.state is state
    assert said in found.said
    assert (found.advice is None) == (state is State.OK)
    if cpu and gpu:
        assert found.advice is not None
        assert "pip uninstall -y onnxruntime onnxruntime-gpu" in found.advice


def test_a_machine_without_a_card_is_sound_unless_one_is_wanted() -> None:
    for wanted in (True, False):
        for loaded in (GOOD, None):
            found = list(graphics("no NVIDIA driver", loaded, wanted=wanted))
            missing = ["CUDA"] if loaded is None else []
            assert failed(found) == ([*missing, "driver"] if wanted else [])
        nothing = Driver("575.57.08", (12, 9), ())
        found = list(graphics(nothing, GOOD, wanted=wanted))
        assert failed(found) == (["GPU"] if wanted else [])


def test_a_card_that_is_not_used_is_told() -> None:
    first, *_ = graphics(DRIVER, None, wanted=False)
    assert (first.about, first.state) == ("CUDA", State.NOTE)
    assert "so no GPU is used" in first.said
    assert "nsfwscan[gpu]" in str(first.advice)


def test_a_card_with_what_goes_with_it_is_sound() -> None:
    found = list(graphics(DRIVER, GOOD, wanted=True))
    assert [finding.about for finding in found] == ["CUDA", "cuDNN", "driver", "GPU 0"]
    assert failed(found) == []
    assert "compute capability 6.1" in found[3].said


def test_libraries_that_are_missing_are_told_by_their_files() -> None:
    missing = list(graphics(DRIVER, Libraries(None, None), 12, wanted=False))
    assert failed(missing) == ["CUDA", "cuDNN"]
    assert ("12" in missing[0].said, "9" in missing[1].said) == (True, True)
    assert "nsfwscan[gpu]" in str(missing[0].advice)
    newer, *_ = graphics(DRIVER, Libraries(None, None), 13, wanted=False)
    assert "nsfwscan[gpu-cuda13]" in str(newer.advice)
    without_a_card = graphics("no NVIDIA driver", Libraries(None, None), 12, wanted=False)
    assert failed(without_a_card) == []


def test_libraries_that_are_too_new_are_told() -> None:
    too_new = list(graphics(DRIVER, Libraries((13, 0), (9, 13, 0)), 13, wanted=False))
    assert failed(too_new) == ["GPU 0"]
    assert "older than Turing" in too_new[3].said
