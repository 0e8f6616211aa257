"""The command line, loaded by its entry point and not before."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it; the entry point of the console script."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        # Until there is a command to be brought to an end, Ctrl-C ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from nsfwscan.cli.app import main as run

    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    run()
