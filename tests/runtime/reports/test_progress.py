import io
import time

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
