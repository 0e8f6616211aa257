"""Make the fast model of ``nsfwscan --fast`` from the default model, and count what it decides.

::

    pip install scikit-image
    python benchmarks/companion.py [-o FILE] [PHOTOS ...]

With ``-o``, the default model is converted to INT8, calibrated on the images that scikit-image
ships. Each folder PHOTOS is scanned with the default model alone and with ``--fast``, by the new
file, or by the one in the package. The counts are of images whose decision differs at the default
threshold, of those scored in full precision, and of those whose decision the fast model alone would
change.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import skimage

from nsfwexport import modelfile
from nsfwexport.original import Original
from nsfwexport.quantization.graph import layers, prepare
from nsfwexport.quantization.static import convert, ranges
from nsfwscan import Classifier, Record, scan
from nsfwscan.decision import is_flagged
from nsfwscan.decoding.preprocess import decode
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.companion import load_companion
from nsfwscan.inference.modelfile import default_model_path
from nsfwscan.inference.tensors import to_tensor

BAND = 2.5
"""In log-odds: scores from 0.038 to 0.855 at the threshold 0.327. See docs/scanning.md."""


def make() -> bytes:
    """Convert the default model: its last layer stays in floats, all others are integers."""
    original = Original.load(default_model_path())
    classifier = original.classifier
    prepared, spec = prepare(original.model, original.path), classifier.manifest.preprocess
    folder = Path(skimage.__file__).parent / "data"
    photos = sorted(path for path in folder.iterdir() if path.suffix in {".png", ".jpg"})
    feeds = (
        {classifier.inputs[0].name: to_tensor(pixels[:1], classifier.manifest.input)}
        for pixels in (decode(path.read_bytes(), spec).pixels for path in photos)
    )
    integer = set(layers(prepared))
    model = convert(prepared, "QOperator", ranges(prepared, feeds, "MinMax"), integer)
    manifest = replace(
        original.derived("int8", f"converted to INT8 on {len(photos)} images of scikit-image"),
        operating_points=(),
        cascade=Cascade(model=classifier.sha256, band=BAND),
    )
    return modelfile.embed(model, manifest)


def records(folder: Path, original: Classifier, fast: Classifier | None) -> dict[str, Record]:
    """Scan a folder; return the scored records by path."""
    found = scan(folder, original, fast=fast)
    return {record.path: record for record in found if record.score is not None}


def main() -> None:
    """Make the file, and scan the folders."""
    parser = argparse.ArgumentParser(description="Make and measure the fast model.")
    parser.add_argument("-o", dest="output", type=Path, help="write a new file")
    parser.add_argument("photos", type=Path, nargs="*", help="folders to scan")
    given = parser.parse_args()
    if given.output is not None:
        given.output.write_bytes(make())
    original, fast = Classifier.load(device="cpu"), load_companion(given.output)
    threshold = original.manifest.threshold
    for folder in given.photos:
        expected = records(folder, original, None)
        found = records(folder, original, fast)
        single = {
            path: is_flagged(record.score or 0.0, threshold)
            for path, record in records(folder, fast, None).items()
        }
        flagged = {path: record.status == "flagged" for path, record in expected.items()}
        again = sum(record.precision == "full" for record in found.values())
        differ = sum((record.status == "flagged") != flagged[p] for p, record in found.items())
        print(
            f"{folder}: {len(expected):,} images, {sum(flagged.values())} flagged; "
            f"{differ} decisions differ, {again} were scored again; in 8 bits alone "
            f"{sum(single[path] != flagged[path] for path in flagged)} would differ"
        )


if __name__ == "__main__":
    main()
