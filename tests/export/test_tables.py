import json
from dataclasses import replace

import numpy as np
import pytest

from nsfwexport.comparison import Report, Tolerance, compare
from nsfwexport.tables import aligned, json_report, markdown_report, text_report
from nsfwexport.weights import WeightComparison

A, B = np.array([0.1, 0.9], np.float32), np.array([0.1, 0.4], np.float32)
REPORT = Report(
    reference="run",
    threshold=0.5,
    comparisons=(compare("files", "cpu", Tolerance(1e-4, 0), 0.5, ["a.jpg", "b.jpg"], A, B),),
    score_range=(0.1, 0.9),
    left_out={"c.jpg": "why"},
)


def test_columns_are_aligned() -> None:
    assert aligned([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc   d"


def test_reports_in_text_and_markdown() -> None:
    lines = text_report(REPORT).splitlines()
    assert lines[0] == "compared with run: scores 0.100 to 0.900, threshold 0.5"
    assert lines[1].split()[:5] == ["compared", "device", "images", "features", "largest"]
    assert lines[2].split()[:5] == ["files", "cpu", "2", "-", "0.5"]
    assert lines[2].endswith("1     NO")
    assert markdown_report(REPORT).splitlines()[2].startswith("| files | cpu | 2 | - | 0.5 |")


def test_a_report_with_features_and_weights() -> None:
    rows = np.array([[3, 4], [0, 2]], np.float32), np.array([[3, 4.5], [0, 2]], np.float32)
    tensors = compare("tensors", "cpu", Tolerance(1, 1, 0.2), 0.5, ["a", "b"], A, A, rows)
    weights = WeightComparison(tensors=84, found=83, values=1234, wrong=0, largest=1e-7)
    report = replace(REPORT, comparisons=(tensors,), generated=True, weights=weights)
    head, _, row, last = text_report(report).splitlines()
    assert head.startswith("compared with run on generated images: scores 0.100 to 0.900")
    assert row.split()[:5] == ["same", "tensors", "cpu", "2", "0.1"]
    assert (
        last
        == "weights: 83 of 84 tensors compared, 1,234 values, largest relative difference 1e-07"
    )
    found = json.loads(json_report(report))
    assert found["weights"]["found"] == 83
    assert found["generated"] is True
    assert found["comparisons"][0]["features"]["largest"] == pytest.approx(0.1)


def test_a_report_in_json() -> None:
    found = json.loads(json_report(REPORT))
    (comparison,) = found["comparisons"]
    assert comparison["holds"] is False
    assert comparison["failures"] == ["probabilities", "decisions"]
    assert comparison["worst"][0][0] == "b.jpg"
    assert comparison["flips"] == 1
    assert found["left_out"] == {"c.jpg": "why"}
    broken = np.array([0.1, np.nan], np.float32)
    none = compare("files", "cpu", Tolerance(1e-4, 0), 0.5, ["a.jpg", "b.jpg"], A, broken)
    text = json_report(replace(REPORT, comparisons=(none,)))
    assert json.loads(text)["comparisons"][0]["probability"]["largest"] is None
    assert "NaN" not in text
    assert "worst" not in REPORT.facts()["comparisons"][0]
