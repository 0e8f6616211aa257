"""``python -m nsfwtrain`` is the command ``nsfwtrain``."""

from nsfwtrain.cli import main

main()
