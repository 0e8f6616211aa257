import io
import re
import threading
import time
from collections.abc import Callable

import pytest

from nsfwscan.reports import progress as module
from nsfwscan.reports.console import console
from nsfwscan.reports.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_shows_count_total_rate_and_time_and_disappears() -> None:
    out = Terminal()
    with progress(console(out, "always"), "scanning", lambda: iter(range(40))) as advance:
        deadline = time.monotonic() + 10
        done = 0
        while "of 40" not in out.getvalue() and time.monotonic() < deadline:
            done = min(done + 1, 30)
            advance(done)
            time.sleep(0.05)
    shown = out.getvalue()
    assert "scanning" in shown
    assert "of 40" in shown
    assert "/s" in shown
    assert shown.endswith("\x1b[2K")  # clears the line


def test_an_unknown_total_is_shown_as_unknown() -> None:
    out = Terminal()
    with progress(console(out, "always"), "scanning", None) as advance:
        advance(3)
        time.sleep(0.3)
    assert "of ?" in out.getvalue()


def test_a_known_total_is_not_counted() -> None:
    out = Terminal()
    with progress(console(out, "always"), "training", 1500) as advance:
        advance(1200)
        time.sleep(0.3)
    assert "training" in out.getvalue()
    assert "1,200 of 1,500" in out.getvalue()


class Lines(list[str]):
    """Lines that were said; others wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.more = threading.Condition()

    def say(self, line: str) -> None:
        with self.more:
            self.append(line)
            self.more.notify_all()

    def wait_for(self, pattern: str) -> None:
        def said() -> bool:
            return any(re.fullmatch(pattern, line) for line in self)

        with self.more:
            assert self.more.wait_for(said, timeout=20), (pattern, list(self))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.02)


def test_without_a_terminal_work_that_reports_nothing_says_how_long_it_takes(often: None) -> None:
    lines = Lines()
    with progress(lines.say, "loading the backbone", None):
        lines.wait_for(r"loading the backbone: 0:00:0\d")


def test_without_a_terminal_lines_give_count_total_speed_and_time(often: None) -> None:
    lines = Lines()
    with progress(lines.say, "training", 15_000) as advance:
        advance(12_000)  # continued: these took no time
        lines.wait_for(r"training: 12,000 of 15,000, 0:00:0\d")
        time.sleep(0.01)
        advance(12_001)
        lines.wait_for(r"training: 12,001 of 15,000, \d+\.\d/s, 0:\d\d:\d\d left")
    count = len(lines)
    time.sleep(0.1)
    assert len(lines) == count


@pytest.mark.parametrize(("total", "of"), [(None, r"\?"), (lambda: iter(range(40)), "40")])
def test_without_a_terminal_an_unknown_total_is_counted_or_shown_as_unknown(
    often: None, total: Callable[[], object] | None, of: str
) -> None:
    lines = Lines()
    with progress(lines.say, "scanning", total) as advance:  # type: ignore[arg-type]
        advance(3)
        lines.wait_for(f"scanning: 3 of {of}, .*")


def test_short_work_says_nothing_and_counts_nothing() -> None:
    lines = Lines()
    counted: list[int] = []

    def count() -> object:
        counted.append(1)
        return iter(())

    with progress(lines.say, "scanning", count) as advance:  # type: ignore[arg-type]
        advance(1)
    assert (lines, counted) == ([], [])


def test_no_line_comes_after_an_error(often: None) -> None:
    lines = Lines()

    def fail() -> None:
        lines.wait_for("scanning: .*")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), progress(lines.say, "scanning", None):
        fail()
    count = len(lines)
    time.sleep(0.1)
    assert len(lines) == count
    assert "progress" not in {thread.name for thread in threading.enumerate()}
