"""The options file: ``nsfwscan.toml`` in the current folder, or in the user's own folder."""

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from nsfwscan.errors import ConfigError

FILENAME = "nsfwscan.toml"


def find_config() -> Path | None:
    """Find the options file: in the current folder, else in the user's configuration folder."""
    places = [Path()]
    with suppress(RuntimeError):  # a user without a home has no folder of options
        places.append(platformdirs.user_config_path("nsfwscan", appauthor=False))
    for folder in places:
        file = folder / FILENAME
        try:
            if file.is_file():
                return file
        except OSError:  # a folder that may not be entered holds no options for this user
            continue
    return None


def read_config(path: Path) -> dict[str, Any]:
    """Read an options file.

    Returns
    -------
    dict
        Values by option name: ``max-depth``; ``max_depth`` in the file is taken for the same.

    Raises
    ------
    ConfigError
        If it cannot be read, is no TOML, or names an option in both ways.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of numbers without end
        raise ConfigError(f"{path} is no valid TOML: {error}") from error
    named = {key.replace("_", "-"): value for key, value in values.items()}
    if len(named) < len(values):
        twice = next(key for key in values if key.replace("_", "-") in values and "_" in key)
        raise ConfigError(f"{path}: {twice} stands there twice, with dashes and without")
    return named
