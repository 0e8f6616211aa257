import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from helpers import encoded, load_photo

from nsfwscan import Preprocess, decode
from nsfwscan.limits import MAX_MEMORY

PREPROCESS = {"size": 16, "jpeg_draft_margin": None}
DECODING = {"preprocess": PREPROCESS, "frames": 1, "max_pixels": 10**6}

SERVE = "from nsfwscan.decoding.worker_main import serve; serve()"


def reading(path: str, named: bool, max_filesize: int) -> object:
    limits = {"max_filesize": max_filesize, "max_memory": MAX_MEMORY}
    return {"read": {"path": path, "named": named, **limits}}


def spoken(*requests: object, before: str = "") -> bytes:
    """Give what a process answers, from its start to the end of its input."""
    lines = "".join(f"{json.dumps(request)}\n" for request in requests)
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{SERVE}"],
        input=lines.encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout


def test_an_image_is_read_then_decoded(tmp_path: Path) -> None:
    data = encoded(load_photo("coffee.png"), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    ready, seen, head, pixels = spoken(
        reading(str(tmp_path / "a.jpg"), False, 10**6), {"decode": DECODING}
    ).split(b"\n", 3)
    assert json.loads(ready) == "ready"
    assert len(json.loads(seen)) == 3
    assert json.loads(head) == {"frames": 1, "width": 600, "height": 400, "format": "JPEG"}
    own = decode(data, Preprocess(**PREPROCESS))  # type: ignore[arg-type]
    assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(own.pixels.shape), own.pixels)


def test_what_a_library_prints_comes_between_no_answers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    noise = (
        "import os, nsfwscan.decoding.worker_main as s; old = s.read\n"
        "s.read = lambda *a: (os.write(1, b'noise'), print('noise'), old(*a))[-1]"
    )
    out = spoken(reading(str(tmp_path / "a.txt"), False, 100), before=noise)
    assert out == b'"ready"\n"text file"\n'


def test_usual_images_take_no_numpy(tmp_path: Path) -> None:
    """It is half of what a worker's start would cost."""
    (tmp_path / "a.jpg").write_bytes(encoded(load_photo("coffee.png"), "JPEG"))
    code = "import sys; sys.modules['numpy'] = None"  # whoever imports it now fails
    out = spoken(reading(str(tmp_path / "a.jpg"), False, 10**6), {"decode": DECODING},
                 before=code)  # fmt: skip
    assert len(out.split(b"\n", 3)[3]) == 16 * 16 * 3


def test_problems_are_words(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(40))
    _, _, answer, missing = map(json.loads, spoken(
        reading(str(tmp_path / "a.jpg"), False, 100), {"decode": DECODING},
        reading(str(tmp_path / "b.jpg"), True, 100),
    ).splitlines())  # fmt: skip
    assert set(answer) == {"reason", "detail", "spent"}
    assert missing == {
        "reason": "not-found", "detail": "no such file or folder", "spent": False,
    }  # fmt: skip
