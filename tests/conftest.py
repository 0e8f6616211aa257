"""Fixtures that all tests share."""

import json
import os
import re
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
from typing import Any

import pytest
from hypothesis import settings

from nsfwscan import Classifier

NOBODY = 65534
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

settings.register_profile("shared", deadline=None)  # shared machines are slow at times
settings.load_profile("shared")

# A shell's background job ignores SIGINT, one of nohup SIGHUP, and the commands that the tests
# interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

GROUPS = (
    ("large variants", re.compile(r"\[variant-b[567]\]")),
    ("small variants", re.compile(r"\[variant-b[0-4]\]")),
    ("export", re.compile(r"^tests/export/")),
)
"""Tests that share an expensive fixture run in one process; the longest group comes first."""


def group_of(nodeid: str) -> str:
    """Return the group of a test, which runs in one process: one of `GROUPS`, or its file."""
    found = (name for name, pattern in GROUPS if pattern.search(nodeid))
    return next(found, nodeid.partition("::")[0])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest groups, after pytest has grouped the tests by fixture."""
    names = [name for name, _ in GROUPS]

    def place(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return names.index(group) if group in names else len(names)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute groups; ``--dist loadgroup`` of pytest-xdist 3.8 does nothing with pytest 9.1."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]  # no types
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let Matplotlib list the fonts once per session, independent of the other caches."""
    os.environ.setdefault("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))


@pytest.fixture(autouse=True)
def _isolated_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Create a folder that every user may enter, for tests without privileges."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Return a context manager that drops root's right to read everything."""

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
    """A variant with random weights that `converted` has built, converted and compared."""

    name: str
    run: Path
    model: Path
    parity: list[dict[str, Any]]
    """Facts of the comparisons: of the model, and of it with a head ten times as large."""


@pytest.fixture(
    scope="session",
    params=["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"],
    ids="variant-{}".format,
)
def variant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuiltVariant]:
    """Build and convert each variant once, in a process of its own, since a B7 takes 10 GB.

    pytest runs all tests of one variant before it builds the next.
    """
    root = tmp_path_factory.mktemp(request.param)
    done = subprocess.run(
        [sys.executable, "-m", "converted", request.param, root],
        cwd=Path(__file__).parent, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parity = json.loads((root / "facts.json").read_text())
    yield BuiltVariant(request.param, root / request.param, root / "m.onnx", parity)
    shutil.rmtree(root)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs an installed console script in an empty folder."""

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Chromium, driven by Playwright; skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, Debian's package chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open pages; at the end, fail for anything that a page said, asked or requested elsewhere."""
    complaints: list[str] = []
    contexts = []
    own = ["file:", "data:", "blob:"]

    def check(request: Any) -> None:
        if not request.url.startswith(tuple(own)):
            complaints.append(f"request of {request.url}")

    def open_(page_at: Path | str, **options: Any) -> Any:
        url = page_at if isinstance(page_at, str) else page_at.as_uri()
        if url.startswith("http:"):
            own.append(url)
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)  # its events are those of all of its tabs
        context.on("console", lambda said: complaints.append(said.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("dialog", lambda dialog: complaints.append(dialog.message))
        context.on("request", check)
        page = context.new_page()
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
