from nsfwscan.doctor.findings import Finding, State, attempt, installed
from nsfwscan.errors import DeviceError


def test_an_exception_becomes_a_finding() -> None:
    def check() -> list[Finding]:
        raise ZeroDivisionError("broken\nin two")

    (found,) = attempt("second", check)
    assert (found.about, found.state) == ("second", State.FAILED)
    assert found.said == "ZeroDivisionError: broken in two"
    assert found.fix is not None


def test_a_finding_omits_the_reference_to_the_doctor() -> None:
    def check() -> list[Finding]:
        raise DeviceError(
            'cuda:0 does not start: no such thing; run "nsfwscan doctor" to find the cause'
        )

    (found,) = attempt("inference", check)
    assert found.said == "cuda:0 does not start: no such thing"


def test_a_check_s_findings_are_returned() -> None:
    findings = [Finding("first", State.OK, "fine"), Finding("second", State.NOTE, "odd")]
    assert attempt("first", lambda: findings) == findings


def test_installed_packages_have_a_version() -> None:
    assert installed("numpy") is not None
    assert installed("no-such-package") is None
