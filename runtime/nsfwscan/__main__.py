"""``python -m nsfwscan`` is the command ``nsfwscan``."""

from nsfwscan.cli import main

if __name__ == "__main__":
    main()
