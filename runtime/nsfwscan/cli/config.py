"""The options file: ``nsfwscan.toml`` in the current folder, or in the user's own folder."""

import difflib
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from nsfwscan.errors import ConfigError
from nsfwscan.util.encoding import not_utf8
from nsfwscan.util.inputs import open_input

FILENAME = "nsfwscan.toml"
OPTIONS_FILE = "nsfwscan options file"
"""Key of the file's path in the metadata of a command's context."""


def find_config() -> Path | None:
    """Find the options file in the current folder, or else in the user's configuration folder."""
    import platformdirs

    folders = [Path()]
    with suppress(RuntimeError):  # the user has no home directory
        folders.append(platformdirs.user_config_path("nsfwscan", appauthor=False))
    for folder in folders:
        file = folder / FILENAME
        try:
            if file.is_file():
                return file
        except OSError:  # the folder cannot be entered
            continue
    return None


def read_config(path: Path) -> dict[str, Any]:
    """Read an options file.

    Returns
    -------
    dict
        Values by option name: ``max-depth``, which the file may also write as ``max_depth``.

    Raises
    ------
    ConfigError
        If it cannot be read, is not TOML, or gives an option in both spellings.
    """
    try:
        with open_input(path, error=ConfigError) as stream:
            values = tomllib.loads(stream.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} {not_utf8(error)}") from error
    except (ValueError, RecursionError) as error:  # TOML or number errors
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    named = {key.replace("_", "-"): value for key, value in values.items()}
    if len(named) < len(values):
        twice = next(key for key in values if key.replace("_", "-") in values and "_" in key)
        raise ConfigError(f"{path}: {twice} is given twice, with dashes and with underscores")
    return named


def overrides(context: typer.Context, one: str, other: str) -> bool:
    """Tell whether an option takes precedence: flag over variable over file over default."""
    order = ("COMMANDLINE", "ENVIRONMENT", "DEFAULT_MAP", "DEFAULT")
    first, second = (
        order.index(getattr(context.get_parameter_source(name), "name", ""))
        for name in (one, other)
    )
    return first < second


def checked_defaults(
    values: Mapping[str, Any],
    source: Path,
    command: Any,
    context: typer.Context,
) -> dict[str, Any]:
    """Check the values of an options file as if they were given on the command line.

    Parameters
    ----------
    values
        Values by option name.
    source
        The file, for error messages.
    command
        The command that has the options.
    context
        The context of its group.

    Returns
    -------
    dict
        Values by parameter name, as typer takes them for a context's ``default_map``.

    Raises
    ------
    ConfigError
        If an option does not exist, or does not take its value.
    """
    options = {
        name.removeprefix("--"): parameter
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--")
    }
    defaults = {}
    for key, value in values.items():
        if key not in options:
            near = difflib.get_close_matches(key, options, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"see {context.command_path} --help"
            raise ConfigError(f"{source}: there is no option {key!r}; {hint}")
        parameter = options[key]
        try:
            given = _as_written(parameter, value)
            parameter.process_value(context, given)
        except typer.BadParameter as error:
            raise ConfigError(f"{source}: {key}: {error.message}") from error
        except ValueError as error:
            raise ConfigError(f"{source}: {key} {error}") from error
        defaults[parameter.name] = given
    return defaults


def _as_written(parameter: Any, value: Any) -> Any:
    """Turn a TOML value into what the command line would give; raise ValueError if it cannot."""
    if parameter.is_flag != isinstance(value, bool):
        wanted = "true or false" if parameter.is_flag else "a value, not true or false"
        raise ValueError(f"takes {wanted}")
    given = [value] if parameter.multiple and isinstance(value, str) else value
    if parameter.multiple and not (
        isinstance(given, list) and all(isinstance(item, str) for item in given)
    ):
        raise ValueError("takes a string or a list of strings")
    if isinstance(given, (int, float)) and not parameter.is_flag:
        with suppress(ValueError):  # Python refuses to print integers of more than 4,300 digits
            given = str(given)  # the command's own conversion then refuses 1.5 for an integer
    texts = given if isinstance(given, list) else [given]
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise ValueError("cannot contain a NUL character")
    if not parameter.multiple and not isinstance(given, (str, bool)):
        raise ValueError(f"does not take {value!r}")
    return given
