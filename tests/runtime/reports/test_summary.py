from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.test_record import make_record

from nsfwscan.reports.summary import EXIT_CODES, ExitCode, Summary
from nsfwscan.sources.filetype import Kind

counts = st.integers(0, 5)


@given(counts, counts, counts, st.booleans(), st.booleans())
def test_exit_codes(safe: int, flagged: int, errors: int, exit_zero: bool, stopped: bool) -> None:
    summary = Summary(safe=safe, flagged=flagged, errors=errors, interrupted=stopped)
    code = summary.exit_code(exit_zero=exit_zero)
    if stopped:
        assert code == 130
    elif errors:
        assert code == 2
    else:
        assert code == (1 if flagged and not exit_zero else 0)


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    assert EXIT_CODES[code]


def test_the_counts_in_the_summary_line_add_up() -> None:
    skipped = Counter({Kind.VIDEO: 3, Kind.HIDDEN_FILE: 1})
    summary = Summary(safe=1200, flagged=2, errors=1, skipped=skipped, seconds=10.0)
    assert summary.line() == (
        "1,207 found: 1,200 safe, 2 flagged, 1 error, 4 skipped (3 videos, 1 hidden file); "
        "10.0 s, 120.3 images/s"
    )


def test_findings_of_the_baseline_count_among_those_found_and_never_change_the_exit_code() -> None:
    summary = Summary(seconds=1.0)
    for status in ("flagged", "error"):
        summary.add(make_record(status=status), known=True)
    summary.add(make_record(score=0.9, allowed="a statue"))
    assert summary.line() == (
        "3 found: 1 safe (1 allowed), 0 flagged, 0 errors, 2 as in the baseline; "
        "1.0 s, 3.0 images/s"
    )
    assert summary.exit_code() == ExitCode.SAFE
    assert not summary.nothing()


def test_the_summary_of_an_interrupted_scan_says_so() -> None:
    assert Summary(interrupted=True).line().startswith("Interrupted: 0 found: 0 safe")


def test_a_scan_without_images_says_what_may_be_the_reason() -> None:
    assert Summary().nothing() == "no images: there are no files"
    for ended in (Summary(safe=1), Summary(interrupted=True), Summary(failed=True)):
        assert ended.nothing() == ""
    skipped = Counter({Kind.LINK: 2, Kind.UNSELECTED_FILE: 1, Kind.TEXT: 1})
    assert Summary(skipped=skipped).nothing() == (
        "no images: skipped 2 symbolic links, 1 unselected file, 1 text file; "
        "--follow follows links; globs are relative to the scanned folder"
    )
