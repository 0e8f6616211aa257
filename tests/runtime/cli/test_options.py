import inspect
from typing import get_args

import pytest

from nsfwscan.cli import options
from nsfwscan.cli.scan import scan
from nsfwscan.reports.console import Color
from nsfwscan.reports.output import Format

DECLARED = {
    name: get_args(value)[1]
    for name, value in vars(options).items()
    if get_args(value) and name != "Paths" and not name.startswith("_")
}


@pytest.mark.parametrize("name", DECLARED)
def test_every_option_has_a_variable_a_heading_and_a_sentence(name: str) -> None:
    declared = DECLARED[name]
    names = (declared.default, *declared.param_decls)  # where typer stores them
    long = next(name for name in names if str(name).startswith("--"))
    assert declared.envvar == "NSFWSCAN_" + long.removeprefix("--").replace("-", "_").upper()
    assert declared.rich_help_panel in {"Input", "Scoring", "Cache", "Review", "Output"}
    assert declared.help.endswith(".")


def test_the_command_accepts_every_option() -> None:
    assert len(inspect.signature(scan).parameters) == len(DECLARED) + 2  # context and paths


def test_the_choices_are_those_of_the_report() -> None:
    assert tuple(options.Format) == get_args(Format)
    assert tuple(options.Color) == get_args(Color)
