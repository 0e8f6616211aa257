"""Print what a scan logs about its files."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nsfwscan.util.escape import printable


class _Lines(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(f"nsfwscan: {printable(record.getMessage())}")


_LOGGERS = ("nsfwscan.decoding", "nsfwscan.pipeline")
"""The summary has the failures of the cache."""


@contextmanager
def log_lines(say: Callable[[str], None]) -> Iterator[None]:
    """Print each message about decoding and scoring, from level INFO on, as a line."""
    handler = _Lines(say)
    loggers = [(logger := logging.getLogger(name), logger.level) for name in _LOGGERS]
    for logger, _ in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in loggers:
            logger.removeHandler(handler)
            logger.setLevel(level)
