import hashlib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.dataset.labels import Label, Part
from nsfwtrain.data.split import count, key, moved, split

TEST, VALIDATION, REST = range(25), range(25, 50), range(50, 256)


def object_id(number: int, last_byte: int) -> str:
    return f"{hashlib.sha1(str(number).encode()).hexdigest()[:38]}{last_byte:02x}.jpg"


def labels(*groups: tuple[range, int, int]) -> list[Label]:
    """Make `count` labels of a value whose keys go round in a range, for each group."""
    rows: list[Label] = []
    for keys, value, number in groups:
        rows += [Label(object_id(len(rows) + i, keys[i % len(keys)]), value) for i in range(number)]
    return rows


def test_the_published_split_is_reproduced() -> None:
    rows = labels(
        (TEST, 0, 744), (VALIDATION, 0, 747), (REST, 0, 7617 - 744 - 747),
        (TEST, 1, 1400), (VALIDATION, 1, 1500), (REST, 1, 15023 - 1400 - 1500),
    )  # fmt: skip
    assert len(rows) == 22_640
    assert count(split(rows)) == {
        ("train", 0): 6126, ("train", 1): 13_532,
        ("validation", 0): 747, ("validation", 1): 747,
        ("test", 0): 744, ("test", 1): 744,
    }  # fmt: skip


def reference(rows: list[Label]) -> list[str]:
    """Do the same the plain way: one row at a time, with quotas counted beforehand."""
    ranges = {"test": (0, 24), "validation": (25, 49)}
    tally = Counter(
        (name, row.value)
        for row in rows
        for name, (low, high) in ranges.items()
        if low <= int(row.object_id.split(".")[0][-2:], 16) <= high
    )
    quota = {name: min(tally[name, 0], tally[name, 1]) for name in ranges}
    taken: Counter[tuple[str, int]] = Counter()
    parts = []
    for row in rows:
        number = int(row.object_id[38:40], 16)
        part = "train"
        for name, (low, high) in ranges.items():
            if low <= number <= high and taken[name, row.value] < quota[name]:
                taken[name, row.value] += 1
                part = name
        parts.append(part)
    return parts


rows_strategy = st.lists(
    st.builds(
        Label,
        st.builds(object_id, st.integers(0, 10**6), st.integers(0, 60)),
        st.sampled_from([0, 1]),
    ),
    max_size=200,
)


@given(rows_strategy)
def test_every_row_is_where_the_reference_has_it(rows: list[Label]) -> None:
    assigned = split(rows)
    assert [row.label for row in assigned] == rows
    assert [row.part for row in assigned] == reference(rows)
    counts = count(assigned)
    assert counts["test", 0] == counts["test", 1]
    assert counts["validation", 0] == counts["validation", 1]
    assert sum(counts.values()) == len(rows)


def test_the_key_is_the_last_byte() -> None:
    assert key("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33.jpg") == 0x33
    assert key("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33.tar.gz") == 0x33


def parts_of(rows: list[Label]) -> dict[str, Part]:
    return {row.label.object_id: row.part for row in split(rows)}


@given(rows_strategy, rows_strategy)
def test_an_earlier_split_keeps_the_counts_and_moves_no_more(
    first: list[Label], more: list[Label]
) -> None:
    first = list({row.object_id: row for row in first}.values())
    # New rows may come before old ones: a collection is not always appended to.
    grown = list({row.object_id: row for row in [*more, *first]}.values())
    previous = parts_of(first)
    plain, kept = split(grown), split(grown, previous)
    assert count(plain) == count(kept)
    assert moved(kept, previous) <= moved(plain, previous)


def test_rows_of_an_evaluation_set_stay_there() -> None:
    first = labels((TEST, 0, 3), (TEST, 1, 5))
    previous = parts_of(first)
    assert count(split(first))["test", 1] == 3
    grown = [Label(object_id(900 + i, 1), 1) for i in range(4)] + first
    assert moved(split(grown), previous) == 3
    assert moved(split(grown, previous), previous) == 0
