from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nsfwscan import ConfigError
from nsfwscan.cli.config import find_config, read_config


def test_the_current_folder_overrides_the_user_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, user = tmp_path / "here", tmp_path / "user"
    here.mkdir()
    (user / "nsfwscan").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(user))
    assert find_config() is None
    (user / "nsfwscan" / "nsfwscan.toml").touch()
    assert find_config() == user / "nsfwscan" / "nsfwscan.toml"
    (here / "nsfwscan.toml").touch()
    assert find_config() == Path("nsfwscan.toml")


def test_dashes_and_underscores_are_equivalent(tmp_path: Path) -> None:
    path = tmp_path / "nsfwscan.toml"
    path.write_text('max-depth = 2\nbatch_size = 4\nglob = ["*.jpg"]\n')
    assert read_config(path) == {"max-depth": 2, "batch-size": 4, "glob": ["*.jpg"]}


@pytest.mark.parametrize("content", [b"threshold = ", b"a = 1\na = 2\n"])
def test_an_invalid_toml_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nsfwscan.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"nsfwscan\.toml is not valid TOML: "):
        read_config(path)


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-16", "in UTF-16"), ("latin-1", "not in UTF-8")]
)
def test_another_encoding_is_named(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / "nsfwscan.toml"
    path.write_bytes('model = "größe.onnx"\n'.encode(encoding))
    with pytest.raises(ConfigError, match=rf"nsfwscan\.toml is {name}; save it as UTF-8$"):
        read_config(path)


def test_an_unreadable_options_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nsfwscan\.toml: No such file"):
        read_config(tmp_path / "nsfwscan.toml")


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "nsfwscan.toml"
    path.write_text("threshold = 0.5", encoding="utf-8-sig")
    assert read_config(path) == {"threshold": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_depth = 1\nmax-depth = 2\n", "max_depth is given twice"),
        ("a = " + "[" * 5000, "is not valid TOML"),
    ],
)
def test_unusable_toml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "nsfwscan.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "nsfwscan.toml")


def test_an_inaccessible_folder_has_no_options(
    open_folder: Path,
    unprivileged: Callable[[], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shut = open_folder / "shut"
    shut.mkdir(mode=0)
    monkeypatch.chdir(open_folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shut))
    with unprivileged():
        assert find_config() is None
