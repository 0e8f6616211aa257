"""The page of examples/browser in Chromium, which must give the scanner's scores."""

import base64
import functools
import gzip
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import ROOT, all_blocks
from helpers import PHOTOS, encoded, load_photo, mean_model
from numpy.typing import NDArray
from onnx import TensorProto
from PIL import Image

from nsfwscan import Classifier, InputSpec, Manifest, OutputSpec, Preprocess, decode

Open = Callable[..., Any]

EXAMPLE = ROOT / "examples" / "browser"
TOLERANCE = 1e-4
TEN_PHOTOS = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
    "hubble_deep_field.jpg", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
SCORE = """async (pixels) => {
    const { model } = await import("/page.js");
    const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
    return (await model).score(bytes);
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does."""
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def default_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prepare the page for the default model with the commands of the guide."""
    root = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, root / "examples" / "browser")
    note = "run by tests/examples/test_browser.py"
    (block,) = (one for one in all_blocks(ROOT / "docs" / "edge.md") if one.note == note)
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    for command in block.commands():
        subprocess.run(
            ["bash", "-c", command], cwd=root, env=os.environ | {"PATH": path}, check=True
        )
    with served(root / "examples" / "browser") as url:
        yield url


def page_scores(page: Any, pixels: NDArray[np.uint8]) -> list[float]:
    """Score pixels, (N, S, S, 3), with the page's own function."""
    return [page.evaluate(SCORE, base64.b64encode(one.tobytes()).decode()) for one in pixels]


def photo_pixels(preprocess: Preprocess, names: tuple[str, ...]) -> NDArray[np.uint8]:
    found = [decode((PHOTOS / name).read_bytes(), preprocess).pixels for name in names]
    return np.concatenate(found)


@pytest.mark.slow
def test_ten_photos_have_the_scanners_scores(
    default_site: str, open_page: Open, open_nsfw: Classifier
) -> None:
    pixels = photo_pixels(open_nsfw.manifest.preprocess, TEN_PHOTOS)
    expected = open_nsfw.predict(pixels)
    found = page_scores(open_page(default_site), pixels)
    assert np.ptp(expected) > 0.1
    assert np.abs(np.array(found) - expected).max() < TOLERANCE


INPUTS = {
    "unchanged": InputSpec(name=None),
    "bgr": InputSpec(
        name=None, dtype="float32", channels="BGR", mean=(104.0, 117.0, 123.0),
        scale=(0.01, 0.02, 0.03),
    ),
    "nchw": InputSpec(
        name=None, dtype="float32", layout="NCHW", mean=(123.675, 116.28, 103.53),
        scale=(0.0171, 0.0175, 0.0174),
    ),
    "half": InputSpec(
        name=None, dtype="float16", layout="NCHW", scale=(0.0039, 0.0039, 0.0039)
    ),
}  # fmt: skip
CLASSES = ("porn", "sexy", "neutral")
OUTPUTS = {
    "column": OutputSpec(column=1, activation="softmax"),
    "sigmoid": OutputSpec(name=None, column=2, activation="sigmoid"),
    "sum": OutputSpec(
        activation="softmax", classes=CLASSES, counted=("neutral", "porn"), reduction="sum"
    ),
    "maximum": OutputSpec(
        activation="sigmoid", classes=CLASSES, counted=("sexy", "neutral"), reduction="maximum"
    ),
    "complement": OutputSpec(
        activation="softmax", classes=CLASSES, counted=("sexy",), reduction="complement"
    ),
}
WEIGHTS = ((1.0, -0.5, 0.2), (-0.4, 0.8, 0.1), (0.3, -0.2, -0.9))
TYPES = {
    "uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16
}  # fmt: skip
DESCRIBED = [
    *((name, "column") for name in INPUTS), *(("unchanged", name) for name in OUTPUTS)
]  # fmt: skip


def described_model(folder: Path, takes: InputSpec, gives: OutputSpec) -> Classifier:
    """Write a model of three columns, all different, and its manifest; load both."""
    level = 0.01 if takes.dtype == "uint8" else 1.0
    manifest = Manifest(name="m", preprocess=Preprocess(size=8), input=takes, output=gives)
    mean_model(
        folder / "model.onnx", dtype=TYPES[takes.dtype],
        shape=("N", 8, 8, 3) if takes.layout == "NHWC" else ("N", 3, 8, 8),
        weights=[[level * weight for weight in row] for row in WEIGHTS],
        bias=(0.1, -0.2, 0.3),
    )  # fmt: skip
    (folder / "model.json").write_text(manifest.to_json())
    return Classifier.load(folder / "model.onnx", manifest=manifest, device="cpu")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the page's folder, without a model."""
    return shutil.copytree(EXAMPLE, tmp_path / "site", symlinks=True)


@pytest.mark.parametrize(("takes", "gives"), DESCRIBED, ids=str)
@pytest.mark.slow
def test_a_model_is_used_as_its_manifest_describes(
    site: Path, open_page: Open, takes: str, gives: str
) -> None:
    model = described_model(site, INPUTS[takes], OUTPUTS[gives])
    pixels = photo_pixels(model.manifest.preprocess, ("astronaut.png", "rocket.jpg"))
    expected = model.predict(pixels)
    with served(site) as url:
        found = page_scores(open_page(url), pixels)
    assert np.ptp(expected) > 0.005
    assert np.abs(np.array(found) - expected).max() < TOLERANCE


def test_the_module_is_used_as_the_guide_shows(site: Path, open_page: Open) -> None:
    (code,) = (one.text for one in all_blocks(ROOT / "docs" / "edge.md") if one.language == "js")
    redness(site, Preprocess(size=8))
    white = "const pixels = new Uint8Array(8 * 8 * 3).fill(255);\n"
    (site / "own.js").write_text(f"{white}{code}export {{ flagged }};\n")
    with served(site) as url:
        page = open_page(url)
        assert page.evaluate("async () => (await import('/own.js')).flagged") is True


def choose(page: Any, *files: tuple[str, bytes]) -> None:
    page.set_input_files("#choose", [
        {"name": name, "mimeType": "image/png", "buffer": data} for name, data in files
    ])  # fmt: skip
    page.locator("#results li").nth(len(files) - 1).wait_for()


def redness(site: Path, preprocess: Preprocess) -> None:
    """Put a model on the page whose score is the mean of red / 255."""
    mean_model(site / "model.onnx", shape=("N", preprocess.size, preprocess.size, 3))
    manifest = Manifest(name="redness", preprocess=preprocess, threshold=0.5)
    (site / "model.json").write_text(manifest.to_json())


def test_images_become_rows_and_what_is_no_image_an_error(site: Path, open_page: Open) -> None:
    redness(site, Preprocess(size=8))
    files = (
        ("<img src=x onerror=alert(1)>.png", encoded(Image.new("RGB", (9, 9), (255, 0, 0)), "PNG")),
        ("dark.png", encoded(Image.new("RGB", (30, 9), (51, 0, 0)), "PNG")),
        ("clear.png", encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "PNG")),
        ("cut.png", b"\x89PNG\r\n\x1a\n"),
    )
    with served(site) as url:
        page = open_page(url)
        choose(page, *files)
        rows = page.locator("#results li")
        assert rows.locator(".name").all_inner_texts() == [name for name, _ in files[::-1]]
        assert page.locator("#state").inner_text() == "redness, flagging from score 0.5 on"
        error, *scored = rows.locator(".status").all_inner_texts()
    assert error.startswith("error: ")
    assert scored == [
        "flagged, score 1.000000", "safe, score 0.200000", "flagged, score 1.000000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("preprocess", "expected"),
    [
        (Preprocess(size=8), 1 / 3),
        (Preprocess(size=8, resize=12), 1 / 2),
        (Preprocess(size=8, fit="shorter-side", interpolation="nearest"), 1.0),
        (Preprocess(size=8, resize=16, fit="shorter-side", interpolation="nearest"), 1.0),
    ],
    ids=["stretch", "stretch-crop", "shorter-side", "shorter-side-crop"],
)
@pytest.mark.slow
def test_an_image_is_fitted_as_the_manifest_says(
    site: Path, open_page: Open, preprocess: Preprocess, expected: float
) -> None:
    """Of a wide image, only the middle third is red."""
    image = Image.new("RGB", (72, 24))
    image.paste((255, 0, 0), (24, 0, 48, 24))
    redness(site, preprocess)
    with served(site) as url:
        page = open_page(url)
        choose(page, ("wide.png", encoded(image, "PNG")))
        (shown,) = page.locator(".status").all_inner_texts()
    assert float(shown.rpartition(" ")[2]) == pytest.approx(expected, abs=0.08)


def test_an_image_is_upright(site: Path, open_page: Open) -> None:
    """EXIF says that the left half as stored, which is red, is the top of the image."""
    stored = Image.new("RGB", (64, 64))
    stored.paste((255, 0, 0), (0, 0, 32, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    redness(site, Preprocess(size=8))
    with served(site) as url:
        page = open_page(url)
        choose(page, ("turned.jpg", encoded(stored, "JPEG", exif=exif)))
        canvas = (
            "at => document.querySelector('canvas').getContext('2d').getImageData(...at).data[0]"
        )
        top, left = (page.evaluate(canvas, [*at, 1, 1]) for at in ((6, 1), (1, 6)))
    assert (top > 200, left < 50) == (True, True)


def test_a_page_without_a_model_says_so(site: Path, browser: Any) -> None:
    with served(site) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#state.failed")
        said = page.locator("#state").inner_text()
        assert said == "The model cannot be loaded: model.json: 404 File not found"
        assert page.locator("#choose").is_disabled()
        page.close()


def test_the_policy_forbids_other_addresses_and_inline_code(site: Path, browser: Any) -> None:
    redness(site, Preprocess(size=8))
    with served(site) as url, served(site) as other:
        page = browser.new_page()
        page.goto(url)
        reach = "url => fetch(url, { mode: 'no-cors' }).then(() => true, () => false)"
        assert page.evaluate(reach, url)
        assert not page.evaluate(reach, other)
        added = page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.head.append(script);
            return window.ran ?? false;
        }""")
        assert not added
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.slow
def test_axe_finds_nothing(site: Path, open_page: Open, scheme: str, width: int) -> None:
    module: Any = pytest.importorskip("axe_playwright_python.sync_playwright")
    redness(site, Preprocess(size=8))
    with served(site) as url:
        page = open_page(
            url, color_scheme=scheme, viewport={"width": width, "height": 740}, bypass_csp=True
        )
        choose(
            page,
            ("a-long-name-without-a-space" * 4, encoded(load_photo("astronaut.png"), "PNG")),
            ("retina.jpg", encoded(load_photo("retina.jpg"), "JPEG")),
            ("none.png", b""),
        )
        found = module.Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_vendored_files_are_the_published_ones() -> None:
    folder = EXAMPLE / "onnxruntime-web"
    stated = re.findall(
        r"^\| `([\w.-]+)` .*\| `([0-9a-f]{64})` \|$",
        (EXAMPLE / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    found = {}
    for name, _ in stated:
        packed = folder / f"{name}.gz"
        data = (
            gzip.decompress(packed.read_bytes())
            if packed.exists()
            else (folder / name).read_bytes()
        )
        found[name] = hashlib.sha256(data).hexdigest()
    assert len(stated) == 2
    assert found == dict(stated)
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 4.5e6
