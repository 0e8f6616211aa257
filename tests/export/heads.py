"""Convert a run, and compare the same models again with a head ten times as large.

::

    python -m export.heads RUN IMAGES FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx

from nsfwexport import modelfile
from nsfwexport.convert import convert
from nsfwexport.keras import KerasModel, load
from nsfwexport.parity import verify


def scale_head(source: KerasModel, model: Path, factor: float, out: Path) -> None:
    """Multiply the last layer of a Keras model, and that of its model file, by a factor."""
    kernel, bias = source.model.layers[-1].get_weights()
    source.model.layers[-1].set_weights([factor * kernel, factor * bias])
    graph, manifest = modelfile.read(model)
    changed = 0
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        for before in (kernel, bias):
            if values.size == before.size and np.array_equal(values.ravel(), before.ravel()):
                scaled = (factor * values).astype(np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(scaled, tensor.name))
                changed += 1
    assert changed == 2
    out.write_bytes(modelfile.embed(graph, manifest))


def main() -> None:
    """Print the facts of both comparisons as JSON."""
    run, images, folder = map(Path, sys.argv[1:])
    source = load(run)
    paths = sorted(images.iterdir())
    first = convert(source, folder / "m.onnx", images=paths)
    scale_head(source, folder / "m.onnx", 10, folder / "large.onnx")
    differing = [Path(path) for path, _, _ in first.comparisons[0].worst]
    second = verify(folder / "large.onnx", source.reference(), differing)
    second.require(folder / "large.onnx")
    sys.stdout.write(json.dumps([first.facts(), second.facts()]))


if __name__ == "__main__":
    main()
