from pathlib import Path

import numpy as np
from PIL import Image

from nsfwtrain.run.plots import PLOTS, plot_evaluation

NAMES = ("cat", "dog")


def test_four_plots_are_drawn_and_show_the_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([0, 1], np.float32), 100)
    good = np.clip(labels * 0.4 + rng.uniform(0, 0.6, 200), 0, 1).astype(np.float32)
    files = plot_evaluation(labels, good, 0.5, NAMES, tmp_path)
    assert tuple(path.name for path in files) == PLOTS
    for path in files:
        with Image.open(path) as image:
            assert image.size == (600, 600)
    (tmp_path / "bad").mkdir()
    for path in plot_evaluation(labels, 1 - good, 0.5, NAMES, tmp_path / "bad"):
        assert path.read_bytes() != (tmp_path / path.name).read_bytes()


def test_equal_scores_can_be_plotted(tmp_path: Path) -> None:
    labels = np.array([0, 1], np.float32)
    for value in (0.0, 0.5, 1.0):
        assert plot_evaluation(labels, np.full(2, value, np.float32), 0.5, NAMES, tmp_path)
