"""Walk through the boxes of HEIF, AVIF and JPEG 2000 (ISO/IEC 14496-12, 4.2)."""

from collections.abc import Iterator


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box, and where its contents begin and end.

    The end may be beyond the data.
    """
    position = 0
    while len(head := data[position : position + 16]) >= 8:
        size, start = int.from_bytes(head[:4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), position + 16
        end = position + size if size else len(data)
        if end < start:
            return
        yield head[4:8], start, end
        position = end


def boxes_of(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the contents of each box of a type."""
    return (data[start:end] for name, start, end in boxes(data) if name == kind)


def box_at(data: bytes, *kinds: bytes) -> bytes:
    """Return the contents of the first box of a type in the first box of another, and so on.

    They are empty if there is none.
    """
    for kind in kinds:
        data = next(boxes_of(data, kind), b"")
    return data
