"""Write PNG files chunk by chunk (PNG 3, section 5), with what other writers do not offer."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # colour type by the number of channels


def chunk(name: bytes, body: bytes, *, damaged: bool = False) -> bytes:
    """Return a chunk; the checksum of a damaged one is wrong."""
    checksum = zlib.crc32(name + body) ^ damaged
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def header(width: int, height: int, bits: int, kind: int) -> bytes:
    """Return the signature and the header chunk."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, kind, 0, 0, 0))


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """Insert chunks after the header of a file."""
    return data[:33] + b"".join(chunks) + data[33:]


def body(rows: bytes, idat: int = 1 << 20) -> bytes:
    """Return the data chunks of filtered rows, of at most `idat` bytes each, and the end."""
    packed = zlib.compress(rows, 1)
    parts = [chunk(b"IDAT", packed[i : i + idat]) for i in range(0, len(packed), idat)]
    return b"".join(parts) + chunk(b"IEND", b"")


def png(samples: NDArray[np.float64], *chunks: tuple[bytes, bytes], bits: int = 16) -> bytes:
    """Write samples in [0, 1], (H, W, channels), with 8 or 16 bits and further chunks."""
    height, width, channels = samples.shape
    values = np.rint(samples * (2**bits - 1)).astype(f">u{bits // 8}").reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    further = b"".join(chunk(*one) for one in chunks)
    return header(width, height, bits, _KINDS[channels]) + further + body(rows)
