from pathlib import Path

import pytest
from runtime.test_record import make_record

from nsfwscan.errors import Reason
from nsfwscan.record import Record
from nsfwscan.review.baseline import Baseline
from nsfwscan.util.escape import to_json

FLAGGED = make_record(path="a.jpg", status="flagged", score=0.9, sha256="a" * 64)
SAFE = make_record(path="safe.jpg", sha256="b" * 64)
CORRUPT = make_record(
    path="c.jpg", status="error", score=None, reason=Reason.CORRUPT, sha256="c" * 64
)
UNREAD = make_record(
    path="d.jpg", status="error", score=None, reason=Reason.UNREADABLE, sha256=None
)


def changed(record: Record, **changes: object) -> Record:
    return make_record(**(record.to_dict() | changes))


@pytest.fixture
def baseline(tmp_path: Path) -> Baseline:
    records = [FLAGGED, SAFE, CORRUPT, UNREAD]
    (tmp_path / "old").write_text("".join(to_json(one.to_dict()) + "\n" for one in records))
    return Baseline(tmp_path / "old", pytest.fail)


@pytest.mark.parametrize(
    "record",
    [
        FLAGGED,
        changed(FLAGGED, path="moved.jpg"),
        changed(FLAGGED, score=0.7, threshold=0.6, model="other"),
        CORRUPT,
        changed(CORRUPT, path="moved.jpg", detail="in other words"),
        UNREAD,
    ],
)
def test_the_same_finding_is_known(baseline: Baseline, record: Record) -> None:
    assert baseline.knows(record)


@pytest.mark.parametrize(
    "record",
    [
        SAFE,
        changed(FLAGGED, sha256="d" * 64),
        changed(SAFE, status="flagged", score=0.9),
        changed(FLAGGED, status="error", score=None, reason=Reason.TIMEOUT),
        changed(CORRUPT, status="flagged", score=0.9, reason=None),
        changed(CORRUPT, reason=Reason.CRASHED),
        changed(CORRUPT, sha256=None),
        changed(UNREAD, path="other.jpg"),
        changed(UNREAD, reason=Reason.VANISHED),
        changed(UNREAD, sha256="a" * 64),
    ],
)
def test_another_finding_is_new(baseline: Baseline, record: Record) -> None:
    assert not baseline.knows(record)
