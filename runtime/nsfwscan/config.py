"""The options file: ``nsfwscan.toml`` in the current folder, or in the user's own folder."""

import tomllib
from pathlib import Path
from typing import Any

import platformdirs

from nsfwscan.errors import ConfigError

FILENAME = "nsfwscan.toml"


def find_config() -> Path | None:
    """Find the options file: in the current folder, else in the user's configuration folder."""
    for folder in (Path(), platformdirs.user_config_path("nsfwscan", appauthor=False)):
        file = folder / FILENAME
        if file.is_file():
            return file
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
        If it cannot be read, or is no TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from error
    return {key.replace("_", "-"): value for key, value in values.items()}
