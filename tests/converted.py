"""Build a variant, convert it, and compare the same models again with a head ten times as large.

::

    python -m converted VARIANT FOLDER

The folder gets the run, the model file ``m.onnx``, and ``facts.json`` with the facts of both
comparisons.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from backbones import spread_run

from nsfwexport import modelfile, samples
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
    """Run the steps."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    images = folder / "images"
    images.mkdir()
    paths = sorted(samples.make(images, 6))
    spread_run(name, folder / name, images)
    source = load(folder / name)
    first = convert(source, folder / "m.onnx", images=paths)
    scale_head(source, folder / "m.onnx", 10, folder / "large.onnx")
    differing = [Path(path) for path, _, _ in first.comparisons[0].worst[:3]]
    second = verify(folder / "large.onnx", source.reference(), differing)
    second.require(folder / "large.onnx")
    (folder / "facts.json").write_text(json.dumps([first.facts(), second.facts()]))


if __name__ == "__main__":
    main()
