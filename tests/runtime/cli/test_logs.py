import logging

from nsfwscan.cli.logs import log_lines


def test_messages_are_lines_while_the_block_runs() -> None:
    lines: list[str] = []
    logger = logging.getLogger("nsfwscan.decoding")
    with log_lines(lines.append):
        logger.info("%r", "a\x1bb")
        logger.debug("no line")
        logging.getLogger("nsfwscan.cache.store").warning("no line")
    logger.warning("no line")
    assert lines == [r"nsfwscan: 'a\x1bb'"]
    assert not logger.handlers
