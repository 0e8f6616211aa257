"""The command line. Importing this package loads none of it."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it; the entry point of the console script."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # Before a command runs, Ctrl-C ends the process without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from nsfwscan.cli.app import main as run

    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    run()
