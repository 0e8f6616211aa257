"""The defaults that the command line shows and the library uses; nothing slow to import."""

MAX_PIXELS = 178_956_970
"""Limit on width x height: 2**30 / 6, where Pillow too refuses a "decompression bomb"."""

MAX_FILESIZE = 512 << 20
"""Limit on a picture file in bytes: an uncompressed RGB picture of `MAX_PIXELS` fits."""

TIMEOUT = 30.0
"""Seconds that reading and decoding one file may take."""

MAX_MEMORY = 4 << 30
"""Limit on a worker's memory in bytes: any picture of `MAX_PIXELS` can be decoded within it."""

LEAST_MEMORY = 256 << 20
"""Smallest such limit: below it, the libraries that decode do not fit themselves."""

FRAMES = 8
"""How many frames of an animation are scored at most."""
