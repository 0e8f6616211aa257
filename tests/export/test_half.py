from pathlib import Path

import pytest
from export.conftest import Trained

from nsfwexport import modelfile
from nsfwexport.comparison import Tolerance, usual_tolerances
from nsfwexport.contract import violations
from nsfwexport.errors import ConversionError, ParityError
from nsfwexport.half import half
from nsfwscan import Classifier


@pytest.mark.slow
def test_half_precision_halves_the_size_and_keeps_the_contract(
    trained: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "b0-fp16.onnx"
    report = half(trained.model, out)
    whole = Classifier.load(trained.model)
    smaller = Classifier.load(out)
    assert out.stat().st_size < 0.6 * trained.model.stat().st_size
    assert violations(smaller) == []
    assert smaller.manifest.name == "b0-fp16"
    assert smaller.manifest.source is not None
    assert whole.sha256 in smaller.manifest.source
    assert smaller.manifest.training == whole.manifest.training
    assert all(c.tolerance == usual_tolerances("half")["cpu"] for c in report.comparisons)
    assert 0 < max(c.probability.largest for c in report.comparisons) <= 5e-3
    with pytest.raises(ConversionError, match="is in half precision already"):
        half(out, tmp_path / "again.onnx")
    assert modelfile.precision_of(modelfile.read_graph(out)) == "half"


@pytest.mark.slow
def test_a_strict_tolerance_refuses_half_precision(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ParityError):
        half(trained.model, tmp_path / "h.onnx", tolerances={"cpu": Tolerance(1e-9, 0)})
    assert list(tmp_path.iterdir()) == []
