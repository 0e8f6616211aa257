"""Run the command ``nsfwexport`` as ``python -m nsfwexport``."""

from nsfwexport.cli import main

main()
