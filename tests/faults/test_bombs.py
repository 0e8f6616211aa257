"""Small files that want to become large: refused before that, or at their limit of time."""

import struct
import zlib
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import parsed, redness
from helpers import encoded
from PIL import Image

SMALL = Image.new("RGB", (20, 20), "red")
ZEROS = zlib.compress(bytes(300 << 20), 9)
"""300 MB of nothing, in 0.3."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """Make a PNG chunk (PNG specification, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    """Give a small PNG with chunks behind its header."""
    data = encoded(SMALL, "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def claiming(side: int) -> bytes:
    """Give a small PNG whose header claims a large square."""
    data = encoded(SMALL, "PNG")
    return data[:8] + chunk(b"IHDR", struct.pack(">II", side, side) + data[24:29]) + data[33:]


def claiming_frames() -> bytes:
    """Give an animated PNG of three frames that claims two thousand million."""
    data = encoded(SMALL, "PNG", save_all=True, append_images=[SMALL.rotate(90)] * 2)
    at = data.index(b"acTL") - 4
    return data[:at] + chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + data[at + 20 :]


def nested() -> bytes:
    """Give an icon that claims 16 x 16 pixels and holds a PNG of 81 megapixels."""
    inside = encoded(Image.new("1", (9000, 9000)), "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inside


def endless_gif() -> bytes:
    """Give an animation of 2,000 frames of 25 megapixels, in 40 MB."""
    one = encoded(Image.new("P", (5000, 5000)), "GIF")
    body = 13 + 3 * (2 << (one[10] & 7))
    return one[:body] + one[body:-1] * 2000 + b";"


def circular_tiff() -> bytes:
    """Give a TIFF whose second page is followed by the first."""
    data = encoded(SMALL, "TIFF", save_all=True, append_images=[SMALL])
    (first,) = struct.unpack("<I", data[4:8])

    def link_behind(directory: int) -> int:
        (entries,) = struct.unpack("<H", data[directory : directory + 2])
        return directory + 2 + 12 * int(entries)

    (second,) = struct.unpack("<I", data[link_behind(first) : link_behind(first) + 4])
    place = link_behind(second)
    return data[:place] + struct.pack("<I", first) + data[place + 4 :]


BOMBS = {
    "text.png": (png(chunk(b"zTXt", b"a\0\0" + ZEROS)), "too-large"),
    "unicode.png": (png(chunk(b"iTXt", b"a\0\1\0\0\0" + ZEROS)), "too-large"),
    "profile.png": (png(chunk(b"iCCP", b"a\0\0" + ZEROS)), "too-large"),
    "texts.png": (
        png(*[chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(900 << 10))) for i in range(99)]),
        "too-large",
    ),
    "pixels.png": (claiming(13_378), "too-large"),
    "more-pixels.png": (claiming(60_000), "too-large"),
    "most-pixels.png": (claiming(2**31 - 1), "too-large"),
    "frames.png": (claiming_frames(), "truncated"),
    "body.png": (encoded(SMALL, "PNG")[:33] + chunk(b"IDAT", ZEROS) + chunk(b"IEND", b""), None),
    "circle.tif": (circular_tiff(), None),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return redness(tmp_path / "m.onnx")


def test_what_unpacks_to_too_much_is_refused_before_it_does(
    run: Run, tmp_path: Path, model: Path
) -> None:
    """Within 256 MiB of address space, of which the process takes a third to begin with."""
    (tmp_path / "bombs").mkdir()
    for name, (data, _) in BOMBS.items():
        (tmp_path / "bombs" / name).write_bytes(data)
        (tmp_path / "bombs" / f"{name}-next.png").write_bytes(encoded(SMALL, "PNG"))
    done = run("bombs", "-m", model, "-f", "jsonl", "-q", "--max-memory", str(256 << 20))
    assert done.stderr == ""
    found = {Path(one["path"]).name: one for one in parsed(done.stdout)}
    for name, (_, reason) in BOMBS.items():
        assert (name, found[name]["reason"]) == (name, reason), found[name]["detail"]
        assert "may take" not in (found[name]["detail"] or "")  # it did not come to that
        assert found[f"{name}-next.png"]["score"] == 1.0


def test_a_limit_on_pixels_holds_for_what_is_nested(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.ico").write_bytes(nested())
    done = run("a.ico", "-m", model, "-f", "jsonl", "-q", "--max-pixels", "1000000")
    assert [one["reason"] for one in parsed(done.stdout)] == ["too-large"]


def test_an_animation_without_end_is_left_at_its_limit_of_time(
    run: Run, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "a.gif").write_bytes(endless_gif())
    (tmp_path / "b.png").write_bytes(encoded(SMALL, "PNG"))
    done = run("a.gif", "b.png", "-m", model, "-f", "jsonl", "-q", "--timeout", "2")
    assert [one["reason"] for one in parsed(done.stdout)] == ["timeout", None]
