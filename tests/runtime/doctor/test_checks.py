from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import requires
from pathlib import Path
from typing import NoReturn

import pytest
from caches import filled
from helpers import encoded
from PIL import Image

from nsfwscan import Classifier
from nsfwscan.cache import store
from nsfwscan.cache.database import default_path
from nsfwscan.decoding import preprocess, worker
from nsfwscan.doctor import checks, samples
from nsfwscan.doctor.checks import (
    TOLERANCE,
    check_packages,
    check_wheels,
    compare_scores,
    examine,
)
from nsfwscan.doctor.findings import Finding, State
from nsfwscan.doctor.nvidia import Driver, Gpu, Libraries
from nsfwscan.inference import modelfile, session


def failed(findings: Iterable[Finding]) -> list[str]:
    return [finding.about for finding in findings if finding.state is State.FAILED]


def about(name: str, findings: Iterable[Finding]) -> Finding:
    return next(finding for finding in findings if finding.about == name)


def test_checks_run_in_order_and_write_nothing() -> None:
    findings = list(examine("cpu"))
    assert failed(findings) == []
    order = [finding.about for finding in findings]
    wanted = ["Python", "nsfwscan", "engine", "packages", "providers", "driver", "default model",
              "inference on cpu", "formats", "decoding process", "cache"]  # fmt: skip
    assert [name for name in order if name in wanted] == wanted
    assert "HEIF" in about("formats", findings).said
    assert "Photoshop" in about("formats", findings).said
    assert about("cache", findings).said.endswith("not yet created")
    assert not default_path().parent.exists()


def test_a_damaged_cache_is_a_note_or_a_failure_if_explicit(tmp_path: Path) -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_text("no cache, but long enough to be looked into" * 9)
    found = list(examine("cpu"))
    assert failed(found) == []
    assert about("cache", found).state is State.NOTE
    assert "scans continue without it" in about("cache", found).said
    assert failed(examine("cpu", default_path())) == ["cache"]
    assert failed(examine("cpu", tmp_path / "new")) == []


def test_the_check_of_a_modified_default_model_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = modelfile.read_model(modelfile.default_model_path()) + b"x"
    monkeypatch.setattr(modelfile, "read_model", lambda _: changed)
    found = about("default model", examine("cpu"))
    assert found.state is State.FAILED
    assert "not as published" in found.said


def test_a_gpu_score_must_equal_the_cpu_score_within_rounding() -> None:
    found = compare_scores("cuda:0", "1 ms", 0.05, 0.9)
    assert (found.about, found.state) == ("inference on cuda:0", State.FAILED)
    assert found.said == "1 ms, 8.5e-01 from the CPU's"
    assert compare_scores("cuda:0", "1 ms", 0.9 + TOLERANCE / 2, 0.9).state is State.OK


def test_the_gpu_score_is_compared_with_the_cpu_score(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Classifier.load
    monkeypatch.setattr(Classifier, "load", lambda *, device: load(device="cpu"))  # noqa: ARG005
    (found,) = checks._check_inference("cuda:0")
    assert (found.about, found.state) == ("inference on cuda:0", State.OK)
    assert found.said.endswith("0.0e+00 from the CPU's")


@pytest.mark.slow
def test_each_visible_gpu_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Libraries((12, 9), (9, 10, 2), devices=2)
    monkeypatch.setattr(session, "cuda_major", lambda _: 12)
    monkeypatch.setattr(checks, "load_libraries", lambda _: seen)

    def tried(device: str) -> list[str]:
        names = [finding.about for finding in examine(device)]
        return [name.removeprefix("inference on ") for name in names if "inference" in name]

    assert tried("auto") == ["cpu", "cuda:0", "cuda:1"]
    assert tried("cuda") == ["cpu", "cuda:0", "cuda:1"]
    assert tried("cuda:5") == ["cpu", "cuda:5", "cuda:0", "cuda:1"]
    assert tried("cpu") == ["cpu"]
    seen = replace(seen, devices=0)
    assert tried("auto") == ["cpu"]
    gpu = Gpu("GeForce GTX 1070", (6, 1), 8 << 30)
    monkeypatch.setattr(checks, "query_driver", lambda: Driver("575.57.08", (12, 9), (gpu,)))
    assert tried("auto") == ["cpu", "cuda:0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert tried("auto") == ["cpu"]


def test_formats_with_wrong_colours_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    blue = encoded(Image.new("RGB", (16, 16), "blue"), "PNG")
    before = samples.sample
    monkeypatch.setattr(samples, "sample", lambda row: blue if row.name == "PNG" else before(row))
    found = list(checks._check_formats())
    assert failed(found) == ["PNG"]
    assert "PNG" not in about("formats", found).said


def test_missing_packages_are_listed() -> None:
    assert check_packages(requires("nsfwscan") or ()).state is State.OK
    found = check_packages(
        ["numpy>=1.26", "no-such.package>=1; python_version>'3'", "x; extra == 'cpu'"]
    )
    assert (found.state, found.said) == (State.FAILED, "not installed: no-such.package")


@pytest.mark.parametrize(
    "requirements",
    [[], [""], [" >=1"], ["numpy>=1.26", "@ file:///x"], ["; python_version > '3'"]],
)
def test_unreadable_requirements_are_a_finding(requirements: list[str]) -> None:
    found = check_packages(requirements)
    assert found.state is State.FAILED
    assert "the metadata of nsfwscan is damaged" in found.said


@pytest.mark.parametrize(
    "requirement",
    [
        "numpy", " numpy >= 1", "numpy[x]", "numpy(>=1)", "numpy~=1", "numpy@file:///x",
        "numpy;python_version>'3'", "NumPy!=1",
    ],
)  # fmt: skip
def test_a_requirement_in_any_spelling_is_found(requirement: str) -> None:
    extras = ["x;extra=='a'", "y; 'a' == extra", "z ; extra == 'a' and python_version > '3'"]
    assert check_packages([requirement, *extras]).said == "1 that every scan needs"


@pytest.mark.parametrize(
    ("metadata", "about", "said"),
    [
        ({"nsfwscan": "Name: nsfwscan\nVersion: 1\n"}, "packages", "is damaged"),
        ({"nsfwscan": "Name: nsfwscan\nRequires-Dist: >=2\n"}, "packages", "is damaged"),
        ({"nsfwscan": ""}, "packages", "is damaged"),
        ({"nsfwscan": "Name: n\nRequires-Dist: a b c\n"}, "packages", "not installed: a"),
        ({"onnxruntime": "Name: onnxruntime\n"}, "engine", "onnxruntime of unknown version"),
        ({"onnxruntime": ""}, "engine", "onnxruntime of unknown version"),
        ({"onnxruntime": "\xff"}, "engine", "UnicodeDecodeError"),
    ],
)
@pytest.mark.slow
def test_damaged_metadata_is_a_finding(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metadata: dict[str, str],
    about: str,
    said: str,
) -> None:
    for name, text in metadata.items():
        (tmp_path / f"{name}-1.dist-info").mkdir()
        (tmp_path / f"{name}-1.dist-info" / "METADATA").write_bytes(text.encode("latin-1"))
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = [finding for finding in examine("cpu") if finding.about == about]
    assert said in found.said


def broken(*_: object, **__: object) -> NoReturn:
    raise AttributeError("this package is broken")


@pytest.mark.parametrize(
    ("module", "name", "about"),
    [
        (checks, "installed", "engine"),
        (checks, "requires", "packages"),
        (session, "engine", "ONNX Runtime"),
        (checks, "query_driver", "CUDA"),
        (checks, "check_cuda", "CUDA"),
        (modelfile, "default_model_path", "default model"),
        (Classifier, "load", "inference on cpu"),
        (samples, "sample", "PNG"),
        (preprocess, "decoded_formats", "formats"),
        (worker, "Worker", "decoding process"),
        (store, "Cache", "cache"),
    ],
)
@pytest.mark.slow
def test_each_check_that_breaks_is_a_finding_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: object, name: str, about: str
) -> None:
    place = filled(tmp_path / "c")
    order = ["Python", "nsfwscan", "engine", "packages", "default model", "cache"]
    monkeypatch.setattr(module, name, broken)
    findings = list(examine("cpu", place))
    (found,) = [finding for finding in findings if finding.about == about]
    assert found.state is State.FAILED
    assert "this package is broken" in found.said
    assert [one.about for one in findings if one.about in order] == order


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
def test_wheels_that_do_not_work_have_a_fix(
    cpu: str | None, gpu: str | None, state: State, said: str
) -> None:
    found = check_wheels(cpu, gpu)
    assert found.state is state
    assert said in found.said
    assert (found.fix is None) == (state is State.OK)
    if cpu and gpu:
        assert found.fix is not None
        assert "pip uninstall -y onnxruntime onnxruntime-gpu" in found.fix
