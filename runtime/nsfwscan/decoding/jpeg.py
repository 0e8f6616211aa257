"""Walk through the segments of a JPEG (ITU-T T.81, B.1.1)."""

from collections.abc import Iterator

START_OF_SCAN = 0xDA


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the first scan's header, included."""
    position = 2
    while len(head := data[position : position + 4]) == 4 and head[0] == 0xFF:
        marker = head[1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9:  # no segment
            return
        end = position + 2 + int.from_bytes(head[2:], "big")
        yield marker, position, end
        if marker == START_OF_SCAN:
            return
        position = end
