"""The command line. Importing this package loads none of it."""

from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it; the entry point of the console script."""
    from nsfwexport.cli.app import main as run

    run()
