"""Measure the ways to convert a model to integers, one round after the other."""

import tempfile
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nsfwexport import modelfile
from nsfwexport.comparison import Tolerance, compare
from nsfwexport.errors import ConversionError
from nsfwexport.original import Original
from nsfwexport.parity import joined, load_images, score, without_features
from nsfwexport.quantization.candidates import FORMS, METHODS, Candidate, Method, Recipe
from nsfwexport.quantization.graph import layers, prepare
from nsfwexport.quantization.static import convert, ranges
from nsfwexport.speed import durations
from nsfwscan import Classifier, ModelError
from nsfwscan.inference.tensors import to_tensor
from nsfwscan.reports.progress import Progress

_PROBED = 8  # images on which each layer is converted alone
_ROUNDS = 15  # of the measurement of time
_SHARES = (16, 8, 4)  # one layer in so many stays in floats; with more, little would be gained
_MEGABYTE = 1_000_000


class Search:
    """The candidates of a model.

    Attributes
    ----------
    layers : sequence of str
        The layers that can be converted, in the order of the graph.

    Raises
    ------
    ConversionError
        If the graph cannot be prepared, or no image can be decoded.
    """

    def __init__(
        self,
        original: Original,
        calibration: Sequence[Path],
        held_out: Sequence[Path],
        tolerance: Tolerance,
        progress: Progress,
    ) -> None:
        self._original = original
        self._held_out = held_out
        self._tolerance = tolerance
        self._progress = progress
        self._prepared = prepare(original.model, original.path)
        self.layers = layers(self._prepared)
        _, pixels, failed = load_images(calibration, original.classifier.manifest.preprocess)
        if pixels is None:
            path, why = next(iter(failed.items()))
            raise ConversionError(f"no image can be used to calibrate on: {path}: {why}")
        self._pixels = pixels

    def rounds(self) -> Iterator[list[Candidate]]:
        """Yield candidates: first all layers in integers, then ever more of them in floats.

        Layers are left out by how much each, converted alone, changes the scores. Only the method
        that came closest is tried further.
        """
        first = self._measure([Recipe(form=f, method=m) for f, m in product(FORMS, METHODS)])
        yield first
        closest = min(first, key=lambda candidate: candidate.comparison.probability.mean)
        method = closest.recipe.method
        ranked = self._by_sensitivity(method)
        counts = sorted({1, *(len(ranked) // share for share in _SHARES)} - {0, len(ranked)})
        for count in counts:
            left_out = tuple(ranked[:count])
            yield self._measure([Recipe(form=f, method=method, in_float=left_out) for f in FORMS])

    def converted(self, recipe: Recipe) -> Any:
        """Return the `onnx.ModelProto` of a recipe."""
        integer = set(self.layers) - set(recipe.in_float)
        return convert(self._prepared, recipe.form, self._ranges(recipe.method), integer)

    @cache  # noqa: B019 - a search lives as long as its command
    def _ranges(self, method: Method) -> Any:
        classifier = self._original.classifier
        spec, (given,) = classifier.manifest.input, classifier.inputs
        with self._progress(f"calibrating ({method})", len(self._pixels)) as advance:

            def feeds() -> Iterator[dict[str, Any]]:
                for i in range(len(self._pixels)):
                    yield {given.name: to_tensor(self._pixels[i : i + 1], spec)}
                    advance(i + 1)

            return ranges(self._prepared, feeds(), method)

    def _load(self, model: Any, folder: Path, name: str) -> Classifier:
        file = folder / f"{name}.onnx"
        file.write_bytes(modelfile.embed(model, self._original.classifier.manifest))
        return Classifier.load(file, device="cpu")

    def _measure(self, recipes: Sequence[Recipe]) -> list[Candidate]:
        """Measure the recipes that ONNX Runtime can run.

        Raises
        ------
        ConversionError
            If it can run none.
        """
        original, threshold = self._original, self._original.classifier.manifest.threshold
        with tempfile.TemporaryDirectory() as folder:
            models: dict[str, Classifier] = {}
            why = None
            for i, recipe in enumerate(recipes):
                model = self.converted(recipe)
                try:
                    models[str(recipe)] = self._load(model, Path(folder), str(i))
                except ModelError as error:
                    why = error
            if not models:
                raise ConversionError(f"ONNX Runtime cannot run {original.path} in INT8: {why}")
            sizes = {name: model.path.stat().st_size for name, model in models.items()}
            predicts = {
                name: partial(without_features, model.predict) for name, model in models.items()
            }
            with self._progress("comparing candidates", len(self._held_out)) as advance:
                scored = score(
                    original.reference, predicts, self._held_out, advance, features=False
                )
            if not scored.paths:
                path, said = next(iter(scored.left_out.items()))
                raise ConversionError(f"no image can be used to compare on: {path}: {said}")
            expected, _ = joined(scored.reference)
            timed = models | {"original": original.classifier}
            with self._progress("measuring the time", None):
                times = durations(timed, dict.fromkeys(timed, self._pixels), _ROUNDS)
            medians = {name: float(np.median(found)) for name, found in times.items()}
        return [
            Candidate(
                recipe=recipe,
                comparison=compare(
                    "tensors", "cpu", self._tolerance, threshold, scored.paths, expected,
                    joined(scored.tensors[str(recipe)])[0],
                ),
                milliseconds=medians[str(recipe)],
                before=medians["original"],
                megabytes=sizes[str(recipe)] / _MEGABYTE,
            )
            for recipe in recipes
            if str(recipe) in models
        ]  # fmt: skip

    def _by_sensitivity(self, method: Method) -> list[str]:
        """Return the layers, the one first that changes the scores most if converted alone."""
        pixels = self._pixels[:_PROBED]
        expected = self._original.classifier.predict(pixels)
        found: dict[str, float] = {}
        with (
            tempfile.TemporaryDirectory() as folder,
            self._progress("converting each layer alone", len(self.layers)) as advance,
        ):
            for i, layer in enumerate(self.layers, 1):
                model = convert(self._prepared, "QDQ", self._ranges(method), {layer}, alone=True)
                got = self._load(model, Path(folder), "alone").predict(pixels)
                found[layer] = float(np.abs(got - expected).mean())
                advance(i)
        return sorted(found, key=lambda layer: -found[layer])
