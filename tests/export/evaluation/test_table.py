import csv
import io
from dataclasses import replace

import numpy as np

from nsfwexport.evaluation import table
from nsfwexport.evaluation.compare import Evaluation


def test_a_terminal_shows_every_measure_of_every_model(evaluation: Evaluation) -> None:
    head, names, *lines = table.text(evaluation).splitlines()
    assert head == "200 images of a test: 100 decent, 100 indecent; with 95 % intervals"
    assert names.split() == ["old.onnx", "new.onnx", "<b>&.onnx"]
    shown = {line[: line.index("  ")]: line for line in lines if "  " in line}
    assert shown["peak memory"].split()[-3:] == ["-", "-", "-"]
    auroc = evaluation.models[0].quality["roc_auc"]
    assert f"{auroc.value:.4f} ({auroc.low:.4f} to {auroc.high:.4f})" in shown["AUROC"]
    assert "%" in shown["recall at 1 % false alarms"]
    assert lines[-1].startswith("the models decide differently on ")


def test_the_best_values_are_marked_and_equal_looking_ones_too(evaluation: Evaluation) -> None:
    rows = {row.title: row for part in table.sections(evaluation).values() for row in part}
    assert rows["file size"].best == {2}
    assert rows["AUROC"].best == {1}
    assert rows["one image on one thread, median"].best == {1}
    assert rows["whole scan"].best == set()  # all are the same
    assert rows["recall at its threshold"].best == set()
    old = evaluation.models[0]
    alike = replace(evaluation, models=(old, replace(old, megabytes=old.megabytes + 1e-9)))
    rows = {row.title: row for part in table.sections(alike).values() for row in part}
    assert rows["file size"].best == set()


def test_changes_against_the_reference_are_counted(evaluation: Evaluation) -> None:
    old, new, _ = evaluation.models
    before, after = old.scores >= old.threshold, new.scores >= new.threshold
    for flagged, expected in ((True, after & ~before), (False, before & ~after)):
        found = evaluation.changed(1, flagged=flagged)
        assert {one.path for one in found} == {
            evaluation.paths[i] for i in np.flatnonzero(expected)
        }
        assert len(found) > 3
    rows = table.sections(evaluation)["Against old.onnx"]
    ones = sum(one.label for one in evaluation.changed(1, flagged=True))
    count = len(evaluation.changed(1, flagged=True))
    assert rows[0].cells[1] == f"{count} ({ones} indecent)"
    assert "Against old.onnx" not in table.sections(replace(evaluation, reference=False))


def test_spreadsheets_have_full_digits(evaluation: Evaluation) -> None:
    models = list(csv.DictReader(io.StringIO(table.models_csv(evaluation))))
    assert [row["model"] for row in models] == ["old.onnx", "new.onnx", "<b>&.onnx"]
    assert float(models[1]["roc_auc"]) == evaluation.models[1].quality["roc_auc"].value
    assert models[0]["peak_megabytes"] == ""
    assert (models[0]["newly_flagged"], models[0]["newly_safe"]) == ("0", "0")
    images = list(csv.DictReader(io.StringIO(table.images_csv(evaluation))))
    assert [row["path"] for row in images] == list(evaluation.paths)
    assert {row["path"] for row in images if row["differs"] == "yes"} == {
        one.path for one in evaluation.differing
    }
    assert all(
        (float(row["new.onnx"]) >= 0.5) == (row["new.onnx flagged"] == "yes") for row in images
    )
