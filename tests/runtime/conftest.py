"""The target of a report, with an earlier report in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "report"
    path.write_text("before")
    yield path
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"], "a temporary file is left"
