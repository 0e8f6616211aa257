"""Small convolutional networks as ONNX files, and images that they tell apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from nsfwexport import modelfile
from nsfwscan import Manifest, Preprocess

SIZE = 16
WIDTH = 40
"""Channels, so that a layer has more than 10,000 weights."""


def make_blots(folder: Path, count: int = 24) -> list[Path]:
    """Write images of random blots; half of them are reddish."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        blots = rng.integers(0, 256, (6, 6, 3)).astype(float)
        blots[..., 0] += 200 * (i % 2 - 0.5)
        image = Image.fromarray(blots.clip(0, 255).astype(np.uint8))
        paths.append(folder / f"{i:02}.png")
        image.resize((48, 48)).save(paths[-1])
    return paths


def conv_model(
    path: Path,
    *,
    sensitive: bool = False,
    foreign: bool = False,
    opset: int = 18,
    name: str = "conv",
) -> Path:
    """Write a network of three convolutions whose scores follow the redness of an image.

    Parameters
    ----------
    sensitive
        Whether 8 bits are too few for the weights of the second convolution: it has large ones for
        a channel that is always zero.
    foreign
        Whether the model is one of another project: float32 NCHW, two logits, no manifest.
    opset
        Version of ONNX's operators.
    """
    rng = np.random.default_rng(1)
    values = {
        "w1": rng.normal(0, 0.4, (WIDTH, 3, 3, 3)), "b1": np.zeros(WIDTH),
        "w2": rng.normal(0, 0.1, (WIDTH, WIDTH, 3, 3)), "b2": np.zeros(WIDTH),
        "w3": rng.normal(0, 0.1, (WIDTH, WIDTH, 1, 1)), "b3": np.zeros(WIDTH),
    }  # fmt: skip
    values["w1"][1:, 0] += 0.3  # red
    values["w1"][1:, 1:] -= 0.1
    if sensitive:
        values["w1"][0], values["b1"][0] = 0, -1  # zero after the ReLU
        values["w2"][:, 0] = 60
    positive = np.abs(rng.normal(0, 1, (WIDTH, 1)))
    values["head"] = np.hstack([0 * positive, positive]) if foreign else positive
    values["offset"] = np.array([6.0, 0.0]) if foreign else np.array([-6.0])
    nodes = [
        helper.make_node("Conv", ["planes", "w1", "b1"], ["c1"], name="one", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="two", strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], name="three"),
        helper.make_node("Relu", ["c3"], ["r3"]),
        helper.make_node("GlobalAveragePool", ["r3"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
    ]
    if foreign:
        shape: Sequence[int | str] = ("N", 3, SIZE, SIZE)
        given = helper.make_tensor_value_info("planes", TensorProto.FLOAT, list(shape))
        last = [helper.make_node("Gemm", ["flat", "head", "offset"], ["logits"], name="last")]
        gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])
    else:
        given = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
        nodes = [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "unit"], ["scaled"]),
            helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            *nodes,
        ]
        values["unit"] = np.array(1 / 255)
        last = [
            helper.make_node("Gemm", ["flat", "head", "offset"], ["logit"], name="last"),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ]
        gives = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1])
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in values.items()]
    graph = helper.make_graph([*nodes, *last], "conv", [given], [gives], tensors)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    manifest = Manifest(name=name, preprocess=Preprocess(size=SIZE))
    path.write_bytes(model.SerializeToString() if foreign else modelfile.embed(model, manifest))
    return path
