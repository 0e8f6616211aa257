"""Fixtures that all tests share."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from nsfwscan import Classifier

NOBODY = 65534

settings.register_profile("shared", deadline=None)  # machines are shared, and slow at times
settings.load_profile("shared")

# A shell's background has it ignored, which commands inherit that are to be interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_FIRST = ("variants-large", "variants-small", "tests/export", "tests/training")
"""Groups of tests that start first when tests run in parallel."""


def group_of(item: pytest.Item) -> str:
    """Give the group that runs in one process of pytest-xdist.

    It is the explicit one, tests/export where the tests share one trained model, or else the file.
    """
    explicit = item.get_closest_marker("xdist_group")
    if explicit is not None:
        return str(explicit.args[0])
    file = item.nodeid.partition("::")[0]
    return "tests/export" if file.startswith("tests/export/") else file


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put every test in a group."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the groups that take longest, after pytest has put those of a fixture together."""

    def place(item: pytest.Item) -> int:
        group = group_of(item)
        found = [i for i, start in enumerate(LONGEST_FIRST) if group.startswith(start)]
        return found[0] if found else len(LONGEST_FIRST)

    items.sort(key=place)


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


@dataclass(frozen=True)
class BuiltVariant:
    """A run of a variant with random weights; see `backbones.spread_run`."""

    name: str
    run: Path
    images: Path
    """The folder of the 16 images that its scores are spread over."""


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(
            name, marks=pytest.mark.xdist_group(f"variants-{'small' if i < 5 else 'large'}")
        )
        for i, name in enumerate(("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"))
    ],
)
def variant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuiltVariant]:
    """Build each variant once, in a process of its own, since a B7 takes 10 GB.

    pytest runs all tests of one variant before it builds the next.
    """
    from nsfwexport import samples

    root = tmp_path_factory.mktemp(request.param)
    built = BuiltVariant(request.param, root / request.param, root / "images")
    built.images.mkdir()
    samples.make(built.images, 16)
    code = "import sys; from pathlib import Path; from backbones import spread_run; "
    code += "spread_run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))"
    done = subprocess.run(
        [sys.executable, "-c", code, built.name, built.run, built.images],
        cwd=Path(__file__).parent, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield built
    shutil.rmtree(root)


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
