from datetime import date, timedelta
from pathlib import Path

from runtime.test_record import make_record

from nsfwscan.errors import Reason
from nsfwscan.record import Record
from nsfwscan.review.allowlist import Allowance
from nsfwscan.review.baseline import Baseline
from nsfwscan.review.screen import Screen
from nsfwscan.util.escape import to_json

DAY = date(2026, 11, 28)
FLAGGED = make_record(status="flagged", score=0.9)
ENTRY = Allowance(sha256="0" * 64, added=DAY, until=DAY, reason="a statue")


def screen(today: date = DAY, baseline: Baseline | None = None) -> tuple[Screen, list[Record]]:
    told: list[Record] = []
    return Screen({"0" * 64: ENTRY}, baseline, today, lambda record, _: told.append(record)), told


def test_an_allowed_image_is_safe_with_the_reason() -> None:
    judged, known = screen()[0].judge(FLAGGED)
    assert judged == make_record(score=0.9, allowed="a statue")
    assert not known


def test_an_error_and_an_image_that_is_safe_by_itself_stay_as_they_are() -> None:
    error = make_record(status="error", score=None, reason=Reason.CORRUPT)
    unread = make_record(status="error", score=None, reason=Reason.UNREADABLE, sha256=None)
    other = make_record(status="flagged", score=0.9, sha256="1" * 64)
    for record in (error, unread, other, make_record()):
        assert screen()[0].judge(record) == (record, False)


def test_an_expired_entry_is_told_and_counted() -> None:
    judge, told = screen(DAY + timedelta(days=1))
    assert judge.judge(FLAGGED) == (FLAGGED, False)
    assert (judge.expired, told) == (1, [FLAGGED])


def test_an_allowed_image_is_no_finding_of_the_baseline(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(to_json(FLAGGED.to_dict()))
    baseline = Baseline(tmp_path / "old", print)
    assert not screen(DAY, baseline)[0].judge(FLAGGED)[1]
    assert screen(date.max, baseline)[0].judge(FLAGGED) == (FLAGGED, True)
