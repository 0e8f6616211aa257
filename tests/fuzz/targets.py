"""Parsers of untrusted bytes: each accepts its input, or refuses it with an error of its own.

Each target returns whether it accepted the bytes. A target that does neither raises.

::

    python -m fuzz.targets NAME FOLDER -max_total_time=60

fuzzes one target, guided by coverage (with atheris). The folder holds the corpus.
"""

import io
import os
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from fuzz.mutants import seeds
from helpers import encoded
from hypothesis import given
from layouts import LAYOUTS, Made
from PIL import Image
from profiles import P3, STEEP, cmyk_profile, grey_profile

from nsfwscan import Preprocess, decode
from nsfwscan.cache.score import CacheKey, Score
from nsfwscan.cache.store import Cache
from nsfwscan.cli.config import read_config
from nsfwscan.dataset.labels import read_labels, read_split
from nsfwscan.decoding import icc
from nsfwscan.decoding.colour import transform_of
from nsfwscan.errors import CacheError, ConfigError, InputError, LabelError, ManifestError
from nsfwscan.inference.known import BUILT_IN
from nsfwscan.inference.manifest import parse_manifest
from nsfwscan.review.allowlist import merged, read_allow_list
from nsfwscan.sources.filetype import HEAD_BYTES, Kind, kind_of, sniff
from nsfwscan.sources.selection import Ignore, parse_ignore_file
from nsfwscan.sources.walk import read_list
from nsfwscan.util.escape import printable, to_json

BT2020 = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
KEY = CacheKey(b"q" * 32, "ab" * 32, scan=1)
_EXACT = Preprocess(size=16)
SHA256, SHA1 = "cd" * 32, "ef" * 20


def manifest(data: bytes) -> bool:
    """Parse a manifest; write a valid one and parse it again."""
    with suppress(ManifestError):
        found = parse_manifest(data, "here")
        assert parse_manifest(found.to_json(), "there") == found
        return True
    return False


def profile(data: bytes) -> bool:
    """Build the conversion from a profile, and convert with it."""
    transform = transform_of(data)
    if transform is None:
        return False
    shown = transform.apply(Image.new(transform.mode, (3, 2), 100))
    assert (shown.mode, shown.size) == ("RGB", (3, 2))
    if transform.is_strong:
        deep = Image.new("I;16", (3, 2), 40_000)
        converted = transform.apply_16_bits([deep])
        assert converted is None or converted.size == (3, 2)
    return True


def ignore_file(data: bytes) -> bool:
    """Parse the patterns before a NUL byte, and match them with the path after it."""
    patterns, _, path = data.partition(b"\0")
    lines, complaint = parse_ignore_file(patterns)
    assert complaint is None or complaint.startswith("line ")
    Ignore("", lines).match(path.decode("utf-8", "surrogateescape"))
    return complaint is None


def list_of_files(data: bytes) -> bool:
    """Read a list with both separators; with NUL bytes, the names stay the same byte for byte."""
    found = [os.fsencode(path) for path in read_list(io.BytesIO(data), null=True)]
    assert found == [name for name in data.split(b"\0") if name]
    with suppress(InputError):  # NUL bytes, or UTF-16
        assert all(read_list(io.BytesIO(data), null=False))
    return True


def first_bytes(data: bytes) -> bool:
    """Detect a format from the first bytes, with and without a file extension."""
    head = data[:HEAD_BYTES]
    assert all(kind_of(head, name) in Kind for name in ("a.jpg", "a"))
    return None not in {sniff(head, name) for name in ("a.jpg", "a")}


def name(data: bytes) -> bool:
    """Print a name: without control characters, and in JSON on one line."""
    text = os.fsdecode(data)
    assert printable(text).isprintable() or not printable(text).isascii()
    assert not set(printable(text)) & set(map(chr, [*range(32), *range(127, 160)]))
    return "\n" not in to_json({"path": text})


def _as_file(data: bytes, *, suffix: str = "") -> Path:
    path = Path(tempfile.gettempdir()) / f"nsfwscan-fuzz-{os.getpid()}{suffix}"
    path.write_bytes(data)
    return path


def cache(data: bytes) -> bool:
    """Use a cache; return whether it worked to the end."""
    path = _as_file(data)
    try:
        with closing(Cache(path)) as opened:
            opened.find(SHA256, SHA1, KEY)
            opened.find_unread("a.jpg", lambda: (1, 2, 3, 4, 5), KEY)
            opened.remember("a.jpg", (1, 2, 3, 4, 5), SHA256, SHA1)
            opened.store([(SHA256, Score(0.5, 8, 6, 1))], KEY)
            opened.find(SHA256, SHA1, KEY)  # a damaged file may have lost it
            opened.info()
            return opened.failure is None
    except CacheError:
        return False
    finally:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


def options_file(data: bytes) -> bool:
    """Read a file of options."""
    with suppress(ConfigError):
        read_config(_as_file(data, suffix=".toml"))
        return True
    return False


def labels(data: bytes) -> bool:
    """Read labels and a split."""
    path, took = _as_file(data, suffix=".csv"), False
    for read in (read_labels, read_split):
        with suppress(LabelError):
            read(path)
            took = True
    return took


def allow_list(data: bytes) -> bool:
    """Read an allow-list; merge it with itself."""
    path = _as_file(data, suffix=".txt")
    with suppress(InputError):
        held = read_allow_list(path)
        _, added, changed = merged(path, held.values())
        assert (added, changed) == (0, 0)
        return True
    return False


@given(LAYOUTS)
def _shows_its_image(made: Made) -> None:
    shown, data = made
    found = decode(data, _EXACT).pixels.astype(int)
    wanted = decode(encoded(Image.fromarray(shown), "PNG"), _EXACT).pixels
    assert abs(found - wanted).max() <= 1


def layout(data: bytes) -> bool:
    """Decode an image in a layout; the bytes choose both."""
    run: Any = _shows_its_image
    return run.hypothesis.fuzz_one_input(data) is not None


Target = Callable[[bytes], bool]

TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        manifest, ignore_file, list_of_files, first_bytes, name, cache, options_file, labels,
        profile, layout, allow_list,
    )
}  # fmt: skip


def made_profiles() -> list[bytes]:
    """Return profiles with a parametric curve, and with a table."""
    columns = [icc.xyz_tag(column) for column in icc.connection_columns(BT2020)]
    curves = [icc.gamma_curve(2.4), icc.table_curve(lambda samples: samples**3)]
    return [icc.rgb_profile(columns, [curve] * 3) for curve in curves]


def _cache_file() -> bytes:
    path = _as_file(b"")
    with closing(Cache(path)) as opened:
        opened.store([(SHA256, Score(0.5, 8, 6, 1))], KEY)
        opened.remember("a.jpg", (1, 2, 3, 4, 5), SHA256, SHA1)
    data = path.read_bytes()
    path.unlink()
    return data


_ROW = SHA1.encode() + b".jpg,1"
_CORPORA: dict[str, Callable[[], list[bytes]]] = {
    "manifest": lambda: [one.to_json().encode() for one in BUILT_IN.values()],
    "profile": lambda: [
        P3.profile, STEEP.profile, grey_profile(1.2), cmyk_profile(2), *made_profiles()
    ],
    "layout": lambda: [random.Random(seed).randbytes(4000) for seed in range(20)],
    "ignore_file": lambda: [
        b"*.jpg\n!keep/*.jpg\n/build/\n**/a/**/b\n# note\n[a-c]?\\*x\0build/keep/a.jpg",
        b"\xef\xbb\xbfa\r\n!b\n*a*a*a\n\0a/b/\xff",
    ],
    "list_of_files": lambda: [b"a.jpg\nb/c.jpg\r\n\n\xff.png", b"\xef\xbb\xbfa\0b\nc\0"],
    "first_bytes": lambda: [data[:HEAD_BYTES] for data in seeds().values()],
    "name": lambda: ["a\x1b[2J\u202egpj.\u200b".encode() + b"\xff\n"],
    "cache": lambda: [_cache_file()],
    "options_file": lambda: [
        b'threshold = 0.7\nglob = ["*.jpg"]\nmodel = "m.onnx"\nno-cache = true\n'
    ],
    "allow_list": lambda: [
        b"\xef\xbb\xbf# sha256 added until reason\r\n\n"
        + f"{SHA256} 2026-11-28 - a statue\n{'0' * 64} 2026-11-28\t2027-06-30  x".encode()
    ],
    "labels": lambda: [b"objectId,value\n" + _ROW, b"objectId,value,type\n" + _ROW + b",train\n"],
}  # fmt: skip


def corpus(target: str) -> list[bytes]:
    """Return valid inputs, from which damaged ones are made."""
    return _CORPORA[target]()


def main() -> None:
    """Fuzz one target, without end or as set by options of libFuzzer."""
    import atheris

    target, folder, *options = sys.argv[1:]
    for i, data in enumerate(corpus(target)):
        (Path(folder) / f"seed-{i}").write_bytes(data)
    atheris.instrument_all()

    def once(data: bytes) -> None:
        TARGETS[target](data)

    atheris.Setup([sys.argv[0], folder, *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
