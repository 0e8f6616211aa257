"""The defaults that the command line shows and the library uses; nothing slow to import."""

MAX_PIXELS = 178_956_970
"""Limit on width x height: 2**30 / 6, where Pillow too refuses a "decompression bomb"."""

MAX_FILESIZE = 512 << 20
"""Limit on a picture file in bytes: an uncompressed RGB picture of `MAX_PIXELS` fits."""

FRAMES = 8
"""How many frames of an animation are scored at most."""
