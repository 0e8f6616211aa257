"""Small inputs for tests: images, models and programs."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import skimage
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from nsfwscan import Manifest
from nsfwscan.inference.manifest import METADATA_KEY
from nsfwscan.reports.about import About

PHOTOS = Path(skimage.__file__).parent / "data"
RGB_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


ORIENTATION_TAG = 0x0112
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a file of each EXIF orientation stores the pixels of an upright image."""


def turned(upright: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """Return an image as a file with an EXIF orientation stores it, and the EXIF data."""
    method = STORED_AS[orientation]
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return upright if method is None else upright.transpose(method), exif


def load_photo(name: str) -> Image.Image:
    """Open a real photo as RGB."""
    with Image.open(PHOTOS / name) as image:
        return image.convert("RGB")


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """Encode an image."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def animation(format_: str, *, total: int, red: int) -> bytes:
    """Encode an animation of blue frames, each second one green, of which one is red."""
    colours = [(0, 0, 255), (0, 255, 0)] * total
    colours[red] = (255, 0, 0)
    first, *others = (Image.new("RGB", (48, 32), colour) for colour in colours[:total])
    options: dict[str, object] = {} if format_ == "TIFF" else {"duration": 100}
    if format_ == "WEBP":
        options["lossless"] = True
    return encoded(first, format_, save_all=True, append_images=others, **options)


def lacking(package: str, *absent: str) -> str:
    """Return a program that runs a package's command line as if others were not installed."""
    return (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {absent}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        f"from {package}.cli import main\n"
        "main()\n"
    )


def mean_model(
    path: Path,
    manifest: Manifest | None = None,
    *,
    input_name: str = "image",
    output_name: str = "probability",
    dtype: int = TensorProto.UINT8,
    shape: Sequence[int | str] = ("N", 8, 8, 3),
    weights: Sequence[Sequence[float]] = ((1 / 255,), (0.0,), (0.0,)),
    bias: Sequence[float] = (0.0,),
    opset: int = 18,
) -> Path:
    """Write a model that scores an image by its mean colour: with the default weights, red/255.

    The score is the mean over both spatial axes, times `weights` (channels x columns), plus `bias`.
    """
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    nodes = [
        helper.make_node("Cast", [input_name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], [output_name]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info(input_name, dtype, list(shape))],
        [
            helper.make_tensor_value_info(
                output_name, TensorProto.FLOAT, [shape[0], len(weights[0])]
            )
        ],
        [
            numpy_helper.from_array(np.array(axes, np.int64), "axes"),
            numpy_helper.from_array(np.array(weights, np.float32), "weights"),
            numpy_helper.from_array(np.array(bias, np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    if manifest is not None:
        helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def make_about(**changes: Any) -> About:
    """Return what a report says about its scan."""
    fields: dict[str, Any] = {
        "version": "1.2.3", "model": "redness", "sha256": "86" * 32, "label": "indecent",
        "device": "cpu", "threshold": 0.5, "sources": ("photos",),
        "started": datetime(2026, 11, 28, 2, 4, tzinfo=UTC), "settings": {"frames": "32"},
    }  # fmt: skip
    return About(**(fields | changes))


def graph_model(path: Path, *nodes: onnx.NodeProto, dtype: int, shape: list[int | str]) -> Path:
    """Write a model of any nodes, from `image` to `probability`."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("probability", dtype, shape)],
    )
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path
