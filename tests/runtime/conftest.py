"""Fixtures of the scanner's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache out of the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "report"
    path.write_text("before")
    yield path
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"], "something is left behind"
