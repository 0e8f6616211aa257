import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import OutputError
from nsfwtrain.errors import LabelError
from nsfwtrain.split import Label, count, key, read_labels, split, write_split

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
    assert count(rows, split(rows)) == {
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
    parts = split(rows)
    assert parts == reference(rows)
    counts = count(rows, parts)
    assert counts["test", 0] == counts["test", 1]
    assert counts["validation", 0] == counts["validation", 1]
    assert sum(counts.values()) == len(rows)


def test_the_key_is_the_last_byte() -> None:
    assert key("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33.jpg") == 0x33
    assert key("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33.tar.gz") == 0x33


def test_files_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "label.csv"
    ids = [object_id(i, i) for i in (0, 30, 99)]
    path.write_text("objectId,value\n" + "".join(f"{name},1\n" for name in ids))
    rows = read_labels(path)
    assert rows == [Label(name, 1) for name in ids]
    write_split(tmp_path / "split_label.csv", rows, ["test", "validation", "train"])
    assert (tmp_path / "split_label.csv").read_text() == (
        f"objectId,value,type\n{ids[0]},1,test\n{ids[1]},1,validation\n{ids[2]},1,train\n"
    )
    assert len(list(tmp_path.iterdir())) == 2


GOOD = object_id(1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be objectId,value, got $"),
        ("id,label\n", "first line must be objectId,value, got id,label"),
        (f"objectId,value\n{GOOD},2\n", "line 2: the value must be 0 or 1, got '2'"),
        (f"objectId,value\n{GOOD},\n", "line 2: the value must be 0 or 1, got ''"),
        (f"objectId,value\n{GOOD},1\n{GOOD}\n", "line 3: expected an object ID and a value"),
        (f"objectId,value\n{GOOD.upper()},1\n", "line 2: .* is no object ID"),
        ("objectId,value\nphoto.jpg,1\n", "line 2: 'photo.jpg' is no object ID"),
        (f"objectId,value\n{GOOD},1\n{GOOD},0\n", f"line 3: {GOOD} stands on line 2 already"),
    ],
)
def test_a_label_file_that_does_not_hold_is_refused_by_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "label.csv").write_text(text)
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "label.csv")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"cannot read .*gone\.csv: No such file"):
        read_labels(tmp_path / "gone.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match=r"binary\.csv is no CSV file in UTF-8"):
        read_labels(tmp_path / "binary.csv")
    with pytest.raises(OutputError, match=r"cannot write .*gone/split\.csv: No such file"):
        write_split(tmp_path / "gone" / "split.csv", [], [])
