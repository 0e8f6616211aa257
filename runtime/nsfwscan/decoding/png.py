"""Walk through the chunks of a PNG, and read those about its colours (PNG 3, section 11)."""

import zlib
from collections.abc import Iterator

SIGNATURE_BYTES = 8

_PROFILE_BYTES = 8_000_000  # libpng's own limit
_COLOUR_CHUNKS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"iCCP": None}
"""Lengths; a profile has any."""


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk, whole or not."""
    position = SIGNATURE_BYTES
    while len(head := data[position : position + 8]) == 8:
        end = position + 12 + int.from_bytes(head[:4], "big")
        yield head[4:], position, end
        position = end


def is_intact(chunk: bytes) -> bool:
    """Whether the checksum of a chunk is right."""
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the contents of the chunks about colour, by name.

    As in libpng, the first of a kind counts, and damaged ones and those after the image's data do
    not. That of iCCP is the profile, decompressed.
    """
    found: dict[bytes, bytes] = {}
    for name, start, end in chunks(data):
        if name == b"IDAT":
            break
        if name in _COLOUR_CHUNKS and name not in found and is_intact(data[start:end]):
            body = data[start + 8 : end - 4]
            if name == b"iCCP":
                body = unpacked_profile(body)
            elif len(body) != _COLOUR_CHUNKS[name]:
                continue
            if body:
                found[name] = body
    return found


def unpacked_profile(body: bytes) -> bytes:
    """Return the profile in the contents of iCCP; no bytes if it is damaged or too large."""
    _, _, packed = body.partition(b"\0")
    if packed[:1] != b"\0":  # deflate
        return b""
    try:
        profile = zlib.decompressobj().decompress(packed[1:], _PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if len(profile) < _PROFILE_BYTES else b""
