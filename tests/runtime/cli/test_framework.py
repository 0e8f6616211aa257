from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from nsfwscan import ConfigError, ModelError
from nsfwscan.cli.config import checked_defaults
from nsfwscan.cli.framework import (
    CommandWithPanels,
    GroupWithDefault,
    errors_as_exit_codes,
    option,
    with_home,
)

app = typer.Typer(cls=GroupWithDefault, rich_markup_mode=None)


@app.command(cls=CommandWithPanels)
def walk(
    paths: list[str],
    steps: Annotated[int, option("-s --max-steps N", "Pace", "How far.", min=1)] = 5,
    fast: Annotated[bool, option("--fast", "Pace", "How fast.")] = False,
    tag: Annotated[list[str] | None, option("--tag TAG", "Other", "A tag.")] = None,
) -> None:
    """Walk somewhere."""
    typer.echo(f"walk {paths} {steps} {fast} {tag}")


@app.command()
def sit(place: Annotated[Path | None, option("--place FOLDER", "Other", "Where.")] = None) -> None:
    """Sit down."""
    typer.echo(f"sit {place}" if place else "sit")


def invoke(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(app, arguments, env=environment)
    return result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["home"], "walk ['home'] 5 False None"),
        (["walk", "home"], "walk ['home'] 5 False None"),
        (["--fast", "home"], "walk ['home'] 5 True None"),
        (["home", "-s", "2"], "walk ['home'] 2 False None"),
        (["./sit"], "walk ['./sit'] 5 False None"),
        (["--", "-home"], "walk ['-home'] 5 False None"),
        (["sit"], "sit"),
    ],
)
def test_the_first_command_is_the_default(arguments: list[str], expected: str) -> None:
    assert invoke(*arguments) == expected + "\n"


def test_flags_override_variables() -> None:
    assert invoke("home", NSFWSCAN_MAX_STEPS="7", NSFWSCAN_FAST="1").strip() == (
        "walk ['home'] 7 True None"
    )
    assert "5 False" in invoke("home", "-s", "5", NSFWSCAN_MAX_STEPS="7")


def test_help_groups_the_default_command_s_options_by_panel() -> None:
    text = invoke("--help")
    assert text.index("Arguments:") < text.index("Pace:") < text.index("Other:")
    assert text.index("Other:") < text.index("Options:") < text.index("Commands:")
    assert text.count("--help") == 1
    assert "[OPTIONS] PATHS" in text or "[OPTIONS] {paths}" in text


def check(values: dict[str, object]) -> dict[str, object]:
    group = typer.main.get_command(app)
    context = group.make_context("t", ["walk", "x"])
    command = group.commands["walk"]  # type: ignore[attr-defined]
    return checked_defaults(values, Path("x.toml"), command, context)  # type: ignore[arg-type]


def test_defaults_of_a_file_are_keyed_by_parameter_name() -> None:
    given = {"max-steps": 3, "fast": True, "tag": "a"}
    # As on the command line, which converts them.
    assert check(given) == {"steps": "3", "fast": True, "tag": ["a"]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max-step": 3}, r"x\.toml: there is no option 'max-step'; did you mean 'max-steps'\?"),
        ({"colour-of-socks": 3}, r"there is no option 'colour-of-socks'; see t --help"),
        ({"max-steps": 0}, r"x\.toml: max-steps: "),
        ({"max-steps": "many"}, r"x\.toml: max-steps: "),
        ({"max-steps": 1.5}, r"x\.toml: max-steps: "),
        ({"max-steps": True}, r"x\.toml: max-steps takes a value, not true or false"),
        ({"max-steps": [1]}, r"x\.toml: max-steps does not take \[1\]"),
        ({"max-steps": {"a": 1}}, r"x\.toml: max-steps does not take \{'a': 1\}"),
        ({"fast": 1}, r"x\.toml: fast takes true or false"),
        ({"tag": 1}, r"x\.toml: tag takes a string or a list of strings"),
        ({"tag": [1]}, r"x\.toml: tag takes a string or a list of strings"),
    ],
)
def test_the_error_for_an_invalid_default_names_it(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(values)


def test_expected_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, errors_as_exit_codes():
        raise ModelError("no model at evil\x1b[2Jname")
    assert caught.value.exit_code == 2
    assert capsys.readouterr().err == "nsfwscan: no model at evil\\x1b[2Jname\n"


def test_unexpected_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), errors_as_exit_codes(verbose=False):
        raise KeyError("x")
    said = capsys.readouterr().err
    assert "internal error, please report it: KeyError: 'x'; run again with --verbose" in said
    assert "Traceback" not in said
    with pytest.raises(typer.Exit), errors_as_exit_codes(verbose=True):
        raise KeyError("x")
    assert "Traceback" in capsys.readouterr().err


def test_a_path_may_begin_with_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    command = with_home(typer.main.get_command(app))

    def sat(*arguments: str) -> str:
        command(["sit", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    assert sat("--place=~/x") == "sit /home/me/x\n"
    assert sat("--place", "./~/x") == "sit ~/x\n"
    with pytest.raises(typer.BadParameter, match="there is no such home folder"):
        sat("--place=~nobody-here/x")
    monkeypatch.setenv("NSFWSCAN_PLACE", "~")
    assert sat() == "sit /home/me\n"
