from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import requires
from pathlib import Path

import pytest
from helpers import encoded
from PIL import Image

from nsfwscan.cache.database import default_path
from nsfwscan.doctor import checks, samples
from nsfwscan.doctor.checks import examine, packages, wheels
from nsfwscan.doctor.findings import Finding, State
from nsfwscan.doctor.nvidia import Driver, Gpu, Libraries
from nsfwscan.inference import modelfile, session


def failed(findings: Iterable[Finding]) -> list[str]:
    return [finding.about for finding in findings if finding.state is State.FAILED]


def about(name: str, findings: Iterable[Finding]) -> Finding:
    return next(finding for finding in findings if finding.about == name)


def test_this_machine_is_found_in_order_and_nothing_is_written() -> None:
    findings = list(examine("cpu"))
    assert failed(findings) == []
    order = [finding.about for finding in findings]
    wanted = ["Python", "nsfwscan", "engine", "packages", "providers", "driver", "default model",
              "inference on cpu", "formats", "decoding process", "cache"]  # fmt: skip
    assert [name for name in order if name in wanted] == wanted
    assert "HEIF" in about("formats", findings).said
    assert "Photoshop" in about("formats", findings).said
    assert about("cache", findings).said.endswith("none yet")
    assert not default_path().parent.exists()


def test_a_damaged_cache_is_worth_a_note_and_a_failure_if_it_is_named(tmp_path: Path) -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_text("no cache, but long enough to be looked into" * 9)
    found = list(examine("cpu"))
    assert failed(found) == []
    assert about("cache", found).state is State.NOTE
    assert "scans go on without it" in about("cache", found).said
    assert failed(examine("cpu", default_path())) == ["cache"]
    assert failed(examine("cpu", tmp_path / "new")) == []


def test_a_changed_default_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = modelfile.read_model(modelfile.default_model_path()) + b"x"
    monkeypatch.setattr(modelfile, "read_model", lambda _: changed)
    found = about("default model", examine("cpu"))
    assert found.state is State.FAILED
    assert "not as published" in found.said


def test_scores_that_are_apart_are_told() -> None:
    (found,) = checks._inference("cpu", 0.9)
    assert (found.about, found.state) == ("inference on cpu", State.FAILED)
    assert "from the CPU's" in found.said


def test_each_gpu_that_programs_see_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Libraries((12, 9), (9, 10, 2), devices=2)
    monkeypatch.setattr(session, "cuda_major", lambda _: 12)
    monkeypatch.setattr(checks, "libraries", lambda _: seen)

    def tried(device: str) -> list[str]:
        names = [finding.about for finding in examine(device)]
        return [name.removeprefix("inference on ") for name in names if "inference" in name]

    assert tried("auto") == ["cpu", "cuda:0", "cuda:1"]
    assert tried("cuda") == ["cpu", "cuda:0", "cuda:1"]
    assert tried("cuda:5") == ["cpu", "cuda:5", "cuda:0", "cuda:1"]
    assert tried("cpu") == ["cpu"]
    seen = replace(seen, devices=0)
    assert tried("auto") == ["cpu"]
    card = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
    monkeypatch.setattr(checks, "driver", lambda: Driver("575.57.08", (12, 9), (card,)))
    assert tried("auto") == ["cpu", "cuda:0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert tried("auto") == ["cpu"]


def test_formats_with_wrong_colours_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    blue = encoded(Image.new("RGB", (16, 16), "blue"), "PNG")
    before = samples.sample
    monkeypatch.setattr(samples, "sample", lambda row: blue if row.name == "PNG" else before(row))
    found = list(checks._formats())
    assert failed(found) == ["PNG"]
    assert "PNG" not in about("formats", found).said


def test_packages_that_are_missing_are_named() -> None:
    assert packages(requires("nsfwscan") or ()).state is State.OK
    found = packages(["numpy>=1.26", "no-such.package>=1; python_version>'3'", "x; extra == 'cpu'"])
    assert (found.state, found.said) == (State.FAILED, "not installed: no-such.package")


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
