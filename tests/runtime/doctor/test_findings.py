import pytest

from nsfwscan.doctor.findings import Finding, Look, State, attempted, installed
from nsfwscan.errors import DeviceError


def test_what_goes_wrong_is_a_finding_and_no_end() -> None:
    def look() -> Look[int]:
        yield Finding("first", State.OK, "fine")
        raise ZeroDivisionError("broken\nin two")

    first, second = attempted("second", look)
    assert first.state is State.OK
    assert (second.about, second.state) == ("second", State.FAILED)
    assert second.said == "ZeroDivisionError: broken in two"
    assert second.advice is not None


def test_a_finding_does_not_send_its_reader_to_where_he_is() -> None:
    def look() -> Look[None]:
        yield from ()
        raise DeviceError(
            'cuda:0 does not come up: no such thing; "nsfwscan doctor" says what to do'
        )

    (found,) = attempted("inference", look)
    assert found.said == "cuda:0 does not come up: no such thing"


def test_what_was_seen_is_handed_on() -> None:
    def look() -> Look[int]:
        yield Finding("first", State.OK, "fine")
        return 7

    def both() -> Look[int | None]:
        return (yield from attempted("first", look))

    under_way = both()
    next(under_way)
    with pytest.raises(StopIteration) as end:
        next(under_way)
    assert end.value.value == 7


def test_packages_have_versions_or_are_not_there() -> None:
    assert installed("numpy") is not None
    assert installed("no-such-package") is None
