"""Group identical and near-identical images, to be decided about together."""

from collections.abc import Sequence

import numpy as np

from nsfwscan.decoding.similarity import near


def groups(hashes: Sequence[int]) -> list[int]:
    """Assign each image to a group.

    Images are in one group if their hashes are near, and so are images that are near those.

    Parameters
    ----------
    hashes
        For each image its perceptual hash, in [0, 2**64).

    Returns
    -------
    list of int
        The number of each image's group, from 0, in the order of their first images.
    """
    values, positions = np.unique(np.array(hashes, np.uint64), return_inverse=True)
    parents = list(range(len(values)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for firsts, seconds, _ in near(values):
        for i, j in zip(firsts.tolist(), seconds.tolist(), strict=True):
            parents[root(i)] = root(j)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in positions.tolist()]
