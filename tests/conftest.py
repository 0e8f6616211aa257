"""Fixtures that all tests share."""

import os
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from nsfwscan import Classifier

NOBODY = 65534

settings.register_profile("shared", deadline=None)  # machines are shared, and slow at times
settings.load_profile("shared")

# A shell's background has it ignored, which commands inherit that are to be interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have Matplotlib list the fonts once, wherever the other caches are."""
    os.environ.setdefault("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's options file, variables and cache out of the tests."""
    for name in [name for name in os.environ if name.startswith("NSFWSCAN_")]:
        monkeypatch.delenv(name)
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user may enter, as a test without privileges needs it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Give up root's right to read everything, for a while."""

    @contextmanager
    def dropped() -> Iterator[None]:
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return dropped


@pytest.fixture(scope="session")
def open_nsfw() -> Classifier:
    """Load the default model, once."""
    return Classifier.load(device="cpu")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run an installed console script in an empty folder of its own."""

    def call(
        *arguments: str | bytes | os.PathLike[str],
        program: str = "nsfwscan",
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        script = Path(sysconfig.get_path("scripts")) / program
        return subprocess.run(
            [script, *arguments],
            cwd=cwd or tmp_path,
            env=os.environ | (environment or {}),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
            timeout=timeout,
        )

    return call
