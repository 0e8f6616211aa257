import numpy as np

from nsfwscan.decoding.similarity import HASH_SIDE, difference_hashes, near


def test_each_bit_compares_a_pixel_with_its_right_neighbour() -> None:
    pixels = np.zeros((2, HASH_SIDE, HASH_SIDE, 3), np.uint8)
    pixels[0, 0, 1] = 1  # darker on its left: the second pixel of the first row
    pixels[1, 7, 8] = 255  # the last pixel of the last row that counts
    pixels[1, 8] = np.arange(HASH_SIDE)[:, None]
    assert difference_hashes(pixels).tolist() == [1 << 63, 1]


def test_pairs_are_near_within_the_distance() -> None:
    hashes = np.array([0, 0b1111, 0b11111, 1 << 63], np.uint64)
    found = [
        (int(i), int(j), int(bits))
        for first, second, differ in near(hashes, 4)
        for i, j, bits in zip(first, second, differ, strict=True)
    ]
    assert found == [(0, 1, 4), (0, 3, 1), (1, 2, 1)]
