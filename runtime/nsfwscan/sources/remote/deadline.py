"""The time that a store may take, whatever it does meanwhile.

A limit of a single read, which all clients have, lets a store that sends a byte now and then take
any time.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError

_Result = TypeVar("_Result")


class Deadline:
    """The seconds of several waits together. The time between them does not count.

    Parameters
    ----------
    seconds
        How many.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._left = seconds

    def count(self, work: Callable[[], _Result]) -> _Result:
        """Run what comes back soon by itself, and count its time.

        Raises
        ------
        SourceError
            If the time is over. It is final: another attempt would take as long.
        """
        started = time.monotonic()
        result = work()
        self._left -= time.monotonic() - started
        if self._left < 0:
            raise self._over()
        return result

    def wait(self, work: Callable[[], _Result]) -> _Result:
        """Run what may never come back, on a thread that is left alone when the time is over.

        Raises
        ------
        SourceError
            As `count`.
        """
        done = Future[_Result]()
        started = time.monotonic()
        threading.Thread(target=_run, args=(work, done), name="waiting", daemon=True).start()
        try:
            return done.result(max(self._left, 0))
        except TimeoutError:
            if done.done():  # an error of the work itself
                raise
            raise self._over() from None
        finally:
            self._left -= time.monotonic() - started
            del done  # as in `_run`

    def _over(self) -> SourceError:
        return SourceError(Reason.TIMEOUT, f"its bytes did not arrive within {self._seconds:g} s")


def _run(work: Callable[[], _Result], done: Future[_Result]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        done.set_exception(error)
        del done  # whose error has this frame: the cycle would keep connections open
