from dataclasses import replace
from pathlib import Path

from PIL import Image

from nsfwexport.evaluation import page
from nsfwexport.evaluation.compare import Evaluation


def test_the_files_are_written_and_the_page_shows_the_charts(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    written = page.write(evaluation, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    for chart in tmp_path.glob("*.png"):
        assert f'<img src="{chart.name}"' in text
        with Image.open(chart) as image:
            colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or ()}
            assert {(31, 95, 168), (209, 96, 43), (47, 138, 91)} <= colours  # of three models


def test_names_are_escaped(evaluation: Evaluation) -> None:
    text = page.render(evaluation)
    assert "&lt;b&gt;&amp;.onnx" in text
    assert "<b>&.onnx" not in text
    spoofed = replace(evaluation, where="list\u202e.csv")
    assert "\u202e" not in page.render(spoofed)


def test_the_page_lists_what_changed_against_the_reference(evaluation: Evaluation) -> None:
    text = page.render(evaluation)
    for word in ("Newly flagged by new.onnx", "Newly safe by new.onnx"):
        assert word in text
    for one in evaluation.changed(1, flagged=True):
        assert f"<td>{one.path}</td>" in text
    without = page.render(replace(evaluation, reference=False))
    assert "Images on which the models decide differently" in without
    assert without.count("<tr><td>photos/") == len(evaluation.differing)


def test_a_long_list_is_cut_on_the_page(evaluation: Evaluation) -> None:
    many = replace(evaluation, reference=False, differing=evaluation.differing[:1] * 201)
    text = page.render(many)
    assert text.count("<tr><td>photos/") == 200
    assert "The first 200; images.csv has all." in text
