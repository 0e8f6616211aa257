import subprocess
import sys
from pathlib import Path

import numpy as np
from helpers import encoded, load_photo

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.protocol import (
    READY,
    Decode,
    Digests,
    Failure,
    ImageHeader,
    ReadBytes,
    ReadFile,
    parse_decode_answer,
    parse_read_answer,
    to_line,
)
from nsfwscan.errors import Reason
from nsfwscan.limits import MAX_MEMORY
from nsfwscan.sources.filetype import Kind

PREPROCESS = Preprocess(size=16, jpeg_draft_margin=None)
DECODING = Decode(PREPROCESS, 1, 0, 10**6)

MAIN = "from nsfwscan.decoding.worker_main import main; main()"


def reading(path: Path, explicit: bool, max_filesize: int) -> ReadFile:
    return ReadFile(str(path), explicit, False, max_filesize, MAX_MEMORY)


def spoken(*requests: ReadFile | ReadBytes | Decode | bytes, before: str = "") -> bytes:
    """Return the answers of a process, from its start to the end of its input."""
    sent = [one if isinstance(one, bytes) else to_line(one) for one in requests]
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{MAIN}"],
        input=b"".join(sent), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout


def test_an_image_is_read_and_decoded(tmp_path: Path) -> None:
    data = encoded(load_photo("coffee.png"), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    ready, seen, head, pixels = spoken(reading(tmp_path / "a.jpg", False, 10**6), DECODING).split(
        b"\n", 3
    )
    assert ready + b"\n" == READY
    assert isinstance(parse_read_answer(seen), Digests)
    assert parse_decode_answer(head, 1, 0) == ImageHeader(1, 0, 0, 600, 400, "JPEG", (0,), 1)
    own = decode(data, PREPROCESS)
    assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(own.pixels.shape), own.pixels)


def test_output_of_libraries_does_not_mix_with_the_answers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    noise = (
        "import os, nsfwscan.decoding.worker_main as s; old = s.read_file\n"
        "s.read_file = lambda *a: (os.write(1, b'noise'), print('noise'), old(*a))[-1]"
    )
    out = spoken(reading(tmp_path / "a.txt", False, 100), before=noise)
    assert out == READY + to_line(Kind.TEXT)


def test_common_images_do_not_load_numpy(tmp_path: Path) -> None:
    """NumPy would double the time that a worker takes to start."""
    (tmp_path / "a.jpg").write_bytes(encoded(load_photo("coffee.png"), "JPEG"))
    code = "import sys; sys.modules['numpy'] = None"  # makes each import of it fail
    out = spoken(reading(tmp_path / "a.jpg", False, 10**6), DECODING,
                 before=code)  # fmt: skip
    assert len(out.split(b"\n", 3)[3]) == 16 * 16 * 3


def test_problems_have_stable_words(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(40))
    _, _, answer, missing = spoken(
        reading(tmp_path / "a.jpg", False, 100), DECODING, reading(tmp_path / "b.jpg", True, 100)
    ).splitlines()
    assert isinstance(parse_decode_answer(answer, 1, 0), Failure)
    assert parse_read_answer(missing) == Failure(Reason.NOT_FOUND, "no such file or folder")
