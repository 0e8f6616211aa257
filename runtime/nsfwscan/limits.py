"""The defaults that the command line shows and the library uses; nothing slow to import."""

MAX_PIXELS = 178_956_970
"""Limit on width x height: 2**30 / 6, where Pillow too refuses a "decompression bomb"."""

MAX_FILESIZE = 512 << 20
"""Limit on an image file in bytes: an uncompressed RGB image of `MAX_PIXELS` fits."""

TIMEOUT = 30.0
"""Seconds that reading and decoding one file may take."""

LEAST_TIMEOUT = 0.1
"""Smallest such limit in seconds, and how often the clock is looked at."""

MAX_MEMORY = 6 << 30
"""Limit on a worker's memory in bytes.

Any image of `MAX_PIXELS` can be decoded within it: the most that one took was 26 bytes a pixel,
of a transparent WebP that is turned.
"""

LEAST_MEMORY = 256 << 20
"""Smallest such limit: below it, the libraries that decode do not fit themselves."""

FRAMES = 8
"""How many frames of an animation are scored at most."""
