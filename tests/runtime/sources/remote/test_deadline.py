import threading

import pytest

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.deadline import Deadline


def test_what_never_comes_back_is_left_alone() -> None:
    over, started = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        over.wait()

    deadline = Deadline(0.05)
    with pytest.raises(SourceError, match=r"did not arrive within 0.05 s") as caught:
        deadline.wait(work)
    over.set()
    assert started.is_set()
    assert (caught.value.reason, caught.value.passing) == (Reason.TIMEOUT, False)
    with pytest.raises(SourceError):
        deadline.count(lambda: None)


def test_results_and_errors_pass() -> None:
    def fail() -> None:
        raise TimeoutError("of the work")

    for run in (Deadline(60).wait, Deadline(60).count):
        assert run(lambda: 5) == 5
        with pytest.raises(TimeoutError, match="of the work"):
            run(fail)
