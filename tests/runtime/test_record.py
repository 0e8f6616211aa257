from nsfwscan.errors import Reason
from nsfwscan.record import FIELDS, Record

CONTRACT = (
    "schema path status score threshold reason detail sha256 sha1 width height frames model device "
    "cached views allowed frame total_frames uncertain classes precision"
).split()


def make_record(**changes: object) -> Record:
    fields: dict[str, object] = {
        "path": "a.jpg", "status": "safe", "score": 0.25, "threshold": 0.5, "reason": None,
        "detail": None, "sha256": "0" * 64, "sha1": "1" * 40, "width": 4, "height": 3, "frames": 1,
        "model": "864bb37bf886", "device": "cpu",
    }  # fmt: skip
    return Record(**(fields | changes))  # type: ignore[arg-type]


def test_the_fields_and_their_order_are_stable() -> None:
    assert list(FIELDS) == CONTRACT
    assert list(make_record().to_dict()) == CONTRACT


def test_values_are_plain_types() -> None:
    given = make_record(status="error", score=None, reason=Reason.VANISHED, frames=0).to_dict()
    assert given["schema"] == 3
    assert given["reason"] == "vanished"
    assert given["cached"] is False
    assert given["views"] == 0
