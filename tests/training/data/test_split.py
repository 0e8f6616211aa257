import hashlib
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.dataset.labels import LABELS, PARTS
from nsfwscan.errors import LabelError
from nsfwtrain.data.split import balance, check_parts, keys, moved, read_usable_split, split
from nsfwtrain.data.tables import label_frame, split_frame, write_table

TEST, VALIDATION, REST = range(25), range(25, 50), range(50, 256)


def object_id(number: int, last_byte: int) -> str:
    return f"{hashlib.sha1(str(number).encode()).hexdigest()[:38]}{last_byte:02x}.jpg"


Rows = list[tuple[str, int]]


def labels(*groups: tuple[range, int, int]) -> Rows:
    """Make rows of each group (keys, value, count); the keys cycle through their range."""
    rows: Rows = []
    for cycle, value, number in groups:
        start = len(rows)
        rows += [(object_id(start + i, cycle[i % len(cycle)]), value) for i in range(number)]
    return rows


def counts(split: pd.DataFrame) -> dict[tuple[str, int], int]:
    counted = balance(split)
    return {(part, value): int(counted[value][part]) for part in PARTS for value in LABELS}


def test_the_published_split_is_reproduced() -> None:
    rows = labels(
        (TEST, 0, 744), (VALIDATION, 0, 747), (REST, 0, 7617 - 744 - 747),
        (TEST, 1, 1400), (VALIDATION, 1, 1500), (REST, 1, 15023 - 1400 - 1500),
    )  # fmt: skip
    assert len(rows) == 22_640
    assert counts(split(label_frame(rows))) == {
        ("train", 0): 6126, ("train", 1): 13_532,
        ("validation", 0): 747, ("validation", 1): 747,
        ("test", 0): 744, ("test", 1): 744,
    }  # fmt: skip


def reference(rows: Rows) -> list[str]:
    """Split one row at a time, with quotas counted in advance."""
    ranges = {"test": (0, 24), "validation": (25, 49)}
    tally = Counter(
        (name, value)
        for object_id, value in rows
        for name, (low, high) in ranges.items()
        if low <= int(object_id.split(".")[0][-2:], 16) <= high
    )
    quota = {name: min(tally[name, 0], tally[name, 1]) for name in ranges}
    taken: Counter[tuple[str, int]] = Counter()
    parts = []
    for object_id, value in rows:
        number = int(object_id[38:40], 16)
        part = "train"
        for name, (low, high) in ranges.items():
            if low <= number <= high and taken[name, value] < quota[name]:
                taken[name, value] += 1
                part = name
        parts.append(part)
    return parts


rows_strategy = st.lists(
    st.tuples(
        st.builds(object_id, st.integers(0, 10**6), st.integers(0, 60)), st.sampled_from([0, 1])
    ),
    max_size=200,
)


@given(rows_strategy)
def test_every_row_has_the_part_of_the_reference(rows: Rows) -> None:
    frame = label_frame(rows)
    assigned = split(frame)
    pd.testing.assert_frame_equal(assigned.drop(columns="type"), frame)
    assert assigned["type"].tolist() == reference(rows)
    found = counts(assigned)
    assert found["test", 0] == found["test", 1]
    assert found["validation", 0] == found["validation", 1]
    assert sum(found.values()) == len(rows)


def test_the_key_is_the_last_byte() -> None:
    sha1 = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"
    assert keys(label_frame([(f"{sha1}.jpg", 0), (f"{sha1}.tar.gz", 0)])).tolist() == [0x33, 0x33]


@pytest.mark.slow
@given(rows_strategy, rows_strategy)
def test_an_earlier_split_changes_no_count_and_moves_no_more_rows(first: Rows, more: Rows) -> None:
    # New rows may come before old rows.
    grown = label_frame(dict([*more, *first]).items())
    previous = split(label_frame(dict(first).items()))
    plain, kept = split(grown), split(grown, previous)
    assert counts(plain) == counts(kept)
    assert moved(kept, previous) <= moved(plain, previous)


def test_rows_stay_in_the_test_part() -> None:
    first = labels((TEST, 0, 3), (TEST, 1, 5))
    previous = split(label_frame(first))
    assert counts(previous)["test", 1] == 3
    grown = label_frame([(object_id(900 + i, 1), 1) for i in range(4)] + first)
    assert moved(split(grown), previous) == 3
    assert moved(split(grown, previous), previous) == 0


def test_rows_of_other_parts_are_taken_last() -> None:
    first = labels((TEST, 0, 1), (TEST, 1, 3))  # two rows of label 1 go to train
    previous = split(label_frame(first))
    grown = label_frame([*first, (object_id(900, 1), 0), (object_id(901, 1), 1)])
    kept = split(grown, previous)
    assert kept["type"].tolist() == ["test", "test", "train", "train", "test", "test"]
    assert moved(kept, previous) == 0
    again = split(label_frame([*first, (object_id(902, 1), 0), (object_id(903, 1), 0)]), previous)
    assert again["type"].tolist() == ["test"] * 6
    assert moved(again, previous) == 2


def test_the_index_does_not_matter() -> None:
    frame = label_frame(labels((TEST, 0, 3), (TEST, 1, 5)))
    shuffled = frame.sample(frac=1, random_state=0)
    assert split(shuffled)["type"].tolist() == split(shuffled.reset_index())["type"].tolist()


def test_a_split_with_enough_images_passes() -> None:
    small = [(keys, value, 2) for keys in (TEST, VALIDATION, REST) for value in (0, 1)]
    check_parts(split(label_frame(labels(*small))))


def assigned(**counts: tuple[int, int]) -> pd.DataFrame:
    """Make a split frame with a number of images of label 0 and of label 1 in each part."""
    rows = [
        (value, part)
        for part, numbers in counts.items()
        for value, number in enumerate(numbers)
        for _ in range(number)
    ]
    return split_frame((object_id(i, 99), value, part) for i, (value, part) in enumerate(rows))


def test_each_part_needs_an_image_of_either_label_and_train_two() -> None:
    enough = {"train": (2, 2), "validation": (1, 1), "test": (1, 1)}
    check_parts(assigned(**enough))
    for part, needed in enough.items():
        for counts in ((needed[0] - 1, 9), (9, needed[1] - 1)):
            lacking = f"{part} has {counts[0]} of label 0 and {counts[1]} of label 1;"
            with pytest.raises(LabelError, match=f"evaluate: {lacking}"):
                check_parts(assigned(**enough | {part: counts}))


@pytest.mark.parametrize(
    ("train", "advice"),
    [
        ((5, 3), "there are 5 of label 0 and 3 of label 1 in all; add images of label 1 and"),
        ((3, 5), "there are 3 of label 0 and 5 of label 1 in all; add images of label 0 and"),
        ((0, 0), "there are 0 of label 0 and 0 of label 1 in all; add images of label 0 and label"),
        ((0, 7), "all 7 images have label 1; add images of label 0"),
    ],
)
def test_the_scarcer_label_is_to_be_added(train: tuple[int, int], advice: str) -> None:
    with pytest.raises(LabelError, match=advice):
        check_parts(assigned(train=train))


def test_a_usable_split_is_read(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    with pytest.raises(LabelError, match=r"cannot read .*split\.csv: No such file"):
        read_usable_split(path)
    with pytest.raises(LabelError, match=r"cannot read .*: Is a directory"):
        read_usable_split(tmp_path)
    usable = assigned(train=(2, 2), validation=(1, 1), test=(1, 1))
    write_table(path, usable)
    pd.testing.assert_frame_equal(read_usable_split(path), usable)
    write_table(path, usable[1:])
    with pytest.raises(LabelError, match="too few images to train and evaluate"):
        read_usable_split(path)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [(TEST, 0, 40), (VALIDATION, 0, 40), (REST, 0, 400)],
            "all 480 images have label 0; add images of label 1",
        ),
        ([(REST, 0, 3), (REST, 1, 3)], "add images of label 0 and label 1 and split again$"),
        (
            [(TEST, 0, 9), (TEST, 1, 9), (VALIDATION, 0, 9), (VALIDATION, 1, 9), (REST, 0, 9),
             (REST, 1, 1)],
            "evaluate: train has 9 of label 0 and 1 of label 1; each part .* add images of label 1",
        ),
    ],
)  # fmt: skip
def test_too_few_images_are_one_sentence(
    groups: list[tuple[range, int, int]], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        check_parts(split(label_frame(labels(*groups))))


def test_a_poor_split_of_enough_images_is_to_be_made_again() -> None:
    rows = labels(*[(keys, value, 20) for keys in (TEST, VALIDATION, REST) for value in (0, 1)])
    check_parts(split(label_frame(rows)))
    by_hand = split_frame((name, value, "train") for name, value in rows)
    with pytest.raises(
        LabelError, match=r"test has 0 of label 0 and 0 .*; split the collection again$"
    ):
        check_parts(by_hand)
