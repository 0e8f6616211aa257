from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from nsfwtrain.run import plots
from nsfwtrain.run.plots import PLOTS, plot_evaluation

NAMES = ("cat", "dog")


def test_four_plots_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([0, 1], np.float32), 100)
    good = np.clip(labels * 0.4 + rng.uniform(0, 0.6, 200), 0, 1).astype(np.float32)
    files = plot_evaluation(labels, good, 0.5, NAMES, tmp_path)
    assert tuple(path.name for path in files) == PLOTS
    for path in files:
        with Image.open(path) as image:
            assert image.size == (600, 600)


@pytest.mark.slow
def test_equal_scores_can_be_plotted(tmp_path: Path) -> None:
    labels = np.array([0, 1], np.float32)
    for value in (0.0, 0.5, 1.0):
        assert plot_evaluation(labels, np.full(2, value, np.float32), 0.5, NAMES, tmp_path)


TRUTH = np.array([False, False, True, True, True])
SCORES = np.array([0.12, 0.62, 0.42, 0.82, 0.92], np.float32)
"""Of the six pairs of a false and a true image, five have the higher score for the true one."""


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()


def drawn(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each line by its label."""
    return {
        str(line.get_label()): [(x, y) for x, y in np.asarray(line.get_xydata()).tolist()]
        for line in axes.get_lines()
    }


def test_the_roc_curve_shows_the_rates_at_each_threshold(axes: Axes) -> None:
    plots._roc(axes, TRUTH, SCORES)
    assert set(drawn(axes)) == {"chance", "area 0.833"}
    wanted = [(0, 0), (0, 1 / 3), (0, 2 / 3), (0.5, 2 / 3), (0.5, 1), (1, 1)]
    assert drawn(axes)["area 0.833"] == [pytest.approx(point) for point in wanted]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("false positive rate", "recall")


def test_the_precision_and_recall_of_each_threshold_are_shown(axes: Axes) -> None:
    plots._precision_recall(axes, TRUTH, SCORES)
    assert set(drawn(axes)) == {"chance", "average precision 0.917"}
    wanted = [(1, 3 / 5), (1, 3 / 4), (2 / 3, 2 / 3), (2 / 3, 1), (1 / 3, 1), (0, 1)]
    assert drawn(axes)["average precision 0.917"] == [pytest.approx(point) for point in wanted]
    assert [y for _, y in drawn(axes)["chance"]] == pytest.approx([3 / 5, 3 / 5])


def test_the_share_of_positive_images_is_shown_by_score(axes: Axes) -> None:
    plots._reliability(axes, TRUTH, SCORES, "dog")
    (points,) = (line for name, line in drawn(axes).items() if name != "perfectly calibrated")
    assert points == [
        pytest.approx(point, abs=1e-6)
        for point in [(0.12, 0), (0.42, 1), (0.62, 0), (0.82, 1), (0.92, 1)]
    ]
    assert axes.get_ylabel() == "share of dog"


def test_the_confusion_counts_the_images_at_the_threshold(axes: Axes) -> None:
    plots._confusion(axes, TRUTH, SCORES, 0.5, NAMES)
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "1", (1, 0): "1", (0, 1): "1", (1, 1): "2"}  # predicted, label
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog"]
    assert axes.get_title() == "Confusion at threshold 0.5"
