"""Small files that expand to large ones: refused before they expand, or at the timeout."""

import struct
import zlib
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import parsed, redness
from helpers import encoded
from PIL import Image
from pngs import chunk, with_chunks

SMALL = Image.new("RGB", (20, 20), "red")
ZEROS = zlib.compress(bytes(300 << 20), 9)
"""300 MB of zeros, compressed to 0.3 MB."""


def png(*chunks: bytes) -> bytes:
    """Return a small PNG with chunks after its header."""
    return with_chunks(encoded(SMALL, "PNG"), *chunks)


def claiming(side: int) -> bytes:
    """Return a small PNG whose header claims `side` x `side` pixels."""
    data = encoded(SMALL, "PNG")
    return data[:8] + chunk(b"IHDR", struct.pack(">II", side, side) + data[24:29]) + data[33:]


def claiming_frames() -> bytes:
    """Return an animated PNG of three frames that claims 2**31 - 1 frames."""
    data = encoded(SMALL, "PNG", save_all=True, append_images=[SMALL.rotate(90)] * 2)
    at = data.index(b"acTL") - 4
    return data[:at] + chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + data[at + 20 :]


def nested() -> bytes:
    """Return an icon that claims 16 x 16 pixels and holds a PNG of 81 megapixels."""
    inside = encoded(Image.new("1", (9000, 9000)), "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inside


def endless_gif() -> bytes:
    """Return an animation of 2,000 frames of 25 megapixels each, in 40 MB."""
    one = encoded(Image.new("P", (5000, 5000)), "GIF")
    body = 13 + 3 * (2 << (one[10] & 7))
    return one[:body] + one[body:-1] * 2000 + b";"


def circular_tiff() -> bytes:
    """Return a TIFF whose second page links back to the first."""
    data = encoded(SMALL, "TIFF", save_all=True, append_images=[SMALL])
    (first,) = struct.unpack("<I", data[4:8])

    def link_behind(directory: int) -> int:
        (entries,) = struct.unpack("<H", data[directory : directory + 2])
        return directory + 2 + 12 * int(entries)

    (second,) = struct.unpack("<I", data[link_behind(first) : link_behind(first) + 4])
    place = link_behind(second)
    return data[:place] + struct.pack("<I", first) + data[place + 4 :]


BOMBS = {
    "text.png": (png(chunk(b"zTXt", b"a\0\0" + ZEROS)), None),
    "unicode.png": (png(chunk(b"iTXt", b"a\0\1\0\0\0" + ZEROS)), None),
    "profile.png": (png(chunk(b"iCCP", b"a\0\0" + ZEROS)), None),
    "texts.png": (
        png(*[chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(900 << 10))) for i in range(99)]),
        None,
    ),
    "pixels.png": (claiming(14_833), "too-large"),
    "more-pixels.png": (claiming(60_000), "too-large"),
    "most-pixels.png": (claiming(2**31 - 1), "too-large"),
    "frames.png": (claiming_frames(), "truncated"),
    "body.png": (encoded(SMALL, "PNG")[:33] + chunk(b"IDAT", ZEROS) + chunk(b"IEND", b""), None),
    "circle.tif": (circular_tiff(), None),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return redness(tmp_path / "m.onnx")


def test_bombs_are_refused_before_they_expand(run: Run, tmp_path: Path, model: Path) -> None:
    """The limit is 256 MiB of address space. The process starts with a third of it."""
    (tmp_path / "bombs").mkdir()
    for name, (data, _) in BOMBS.items():
        (tmp_path / "bombs" / name).write_bytes(data)
        (tmp_path / "bombs" / f"{name}-next.png").write_bytes(encoded(SMALL, "PNG"))
    done = run("bombs", "-m", model, "-f", "jsonl", "-q", "--max-memory", str(256 << 20))
    assert done.stderr == ""
    found = {Path(one["path"]).name: one for one in parsed(done.stdout)}
    for name, (_, reason) in BOMBS.items():
        assert (name, found[name]["reason"]) == (name, reason), found[name]["detail"]
        assert "may take" not in (found[name]["detail"] or "")  # refused before the memory limit
        assert found[f"{name}-next.png"]["score"] == 1.0


def test_the_pixel_limit_applies_to_nested_images(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.ico").write_bytes(nested())
    done = run("a.ico", "-m", model, "-f", "jsonl", "-q", "--max-pixels", "1000000")
    assert [one["reason"] for one in parsed(done.stdout)] == ["too-large"]


@pytest.mark.slow
def test_a_long_animation_ends_at_the_timeout(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.gif").write_bytes(endless_gif())
    (tmp_path / "b.png").write_bytes(encoded(SMALL, "PNG"))
    done = run("a.gif", "b.png", "-m", model, "-f", "jsonl", "-q", "--timeout", "2")
    assert [one["reason"] for one in parsed(done.stdout)] == ["timeout", None]
