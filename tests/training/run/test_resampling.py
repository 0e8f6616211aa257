import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsfwtrain.model.logistic import Standardisation
from nsfwtrain.run.resampling import FOLDS, REPEATS, Estimate, estimate, folds


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=40))
def test_a_fold_has_both_labels_and_whole_groups(rows: list[tuple[int, bool]]) -> None:
    groups = np.array([group for group, _ in rows])
    labels = np.array([label for _, label in rows], np.float32)
    if len(set(labels.tolist())) < 2:
        labels[0] = 1 - labels[0]
    held_out = folds(labels, groups)
    assert held_out.sum(axis=1).max(initial=0) <= 1  # an image is in one fold
    for fold in held_out.T:
        assert not set(groups[fold]) & set(groups[~fold])
        assert set(labels[fold]) == set(labels[~fold]) == {0, 1}


def test_large_sets_have_all_folds_and_every_image_in_one() -> None:
    labels = np.repeat(np.array([0, 1], np.float32), [30, 70])
    held_out = folds(labels, np.arange(100))
    assert held_out.shape == (100, FOLDS)
    assert (held_out.sum(axis=1) == 1).all()
    assert (labels @ held_out).tolist() == [14] * FOLDS
    assert (folds(labels, np.arange(100), 1) != held_out).any()


def estimated(signal: float, copies: int = 1, images: int = 200) -> Estimate:
    rng = np.random.default_rng(3)
    labels = (np.arange(images) % 4 == 0).astype(np.float32)
    features = rng.normal(size=(images, 30))
    features[:, 0] += signal * labels
    features, labels = np.repeat(features, copies, axis=0), np.repeat(labels, copies)
    inputs = Standardisation.of(features).apply(features)
    groups = np.repeat(np.arange(images), copies)
    found = estimate(inputs, labels, groups, strength=10.0)
    assert found is not None
    return found


def test_an_estimate_tells_a_good_head_from_chance() -> None:
    chance, good = estimated(0), estimated(5)
    assert chance.accuracy_95_low < 0.5 < chance.accuracy_95_high
    assert chance.loss_95_high > np.log(2)
    assert good.accuracy_95_low > 0.9
    assert good.loss_95_low < good.loss < good.loss_95_high < 0.3
    assert (good.images, good.folds, good.repeats) == (200, FOLDS, REPEATS)
    # Labels of 1 to 3 with equal total weights tell as much as 150 images of equal weight.
    assert good.independent == 150


def test_near_duplicates_neither_help_nor_count() -> None:
    """Copies would be learned by heart if they were on both sides of a fold."""
    once, copied = estimated(0), estimated(0, copies=4)
    assert copied.images == 4 * once.images
    assert copied.independent == once.independent
    assert copied.accuracy_95_low < 0.5 < copied.accuracy_95_high


def test_too_few_groups_have_no_estimate() -> None:
    inputs = np.ones((6, 3))
    labels = np.array([0, 0, 0, 1, 1, 1], np.float32)
    assert estimate(inputs, labels, np.array([0, 1, 2, 3, 3, 3]), 1.0) is None
