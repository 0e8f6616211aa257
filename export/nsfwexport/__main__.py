"""``python -m nsfwexport`` is the command ``nsfwexport``."""

from nsfwexport.cli import main

main()
