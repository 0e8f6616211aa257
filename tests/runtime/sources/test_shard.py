import os
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.errors import InputError
from nsfwscan.sources.entry import Entry
from nsfwscan.sources.shard import Shard, parse_shard, shard_of_job, share

LOCATIONS = st.binary(max_size=20).map(os.fsdecode)


@given(st.lists(LOCATIONS), st.integers(1, 50))
def test_each_location_is_in_exactly_one_shard(locations: list[str], count: int) -> None:
    shares = [
        list(share((Entry(one) for one in locations), Shard(index, count)))
        for index in range(count)
    ]
    assert sorted(one.location for found in shares for one in found) == sorted(locations)
    assert list(share((Entry(one) for one in locations), None)) == [*map(Entry, locations)]


def test_the_shard_of_a_location_never_changes() -> None:
    names = ["a.jpg", "photos/a.jpg", "/photos/a.jpg", "s3://bucket/a.jpg", "写真.jpg", "caf\udce9"]
    found = [next(i for i in range(1000) if Shard(i, 1000).holds(name)) for name in names]
    assert found == [449, 177, 783, 313, 603, 416]


def test_a_path_that_no_file_has_is_in_a_shard_too() -> None:
    assert [Shard(i, 2).holds("a\ud800") for i in range(2)].count(True) == 1


def test_shards_are_of_about_the_same_size() -> None:
    names = [f"photos/{number:06}.jpg" for number in range(8000)]
    sizes = [sum(map(Shard(index, 8).holds, names)) for index in range(8)]
    assert max(abs(size - 1000) for size in sizes) < 150  # five standard deviations


def test_a_shard_is_written_as_it_is_read() -> None:
    assert parse_shard("3/16") == Shard(3, 16)
    assert str(Shard(3, 16)) == "3/16"


@pytest.mark.parametrize("text", ["", "4", "1/", "/4", "-1/4", "1/4/8", "a/b", "1.0/4", "1 / 4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no shard: write I/N with I from 0, such as 0/4"):
        parse_shard(text)


@pytest.mark.parametrize("text", ["4/4", "0/0", "1/0", "7/4"])
def test_a_shard_beyond_the_last_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"there is no shard {text}: shards are numbered from 0"):
        parse_shard(text)


def slurm(task: int, first: int, last: int, step: int, count: int) -> dict[str, str]:
    values = {"ID": task, "MIN": first, "MAX": last, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


KUBERNETES = {"JOB_COMPLETION_INDEX": "2"}
SHARDS = {"NSFWSCAN_SHARDS": "64"}


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        (slurm(0, 0, 15, 1, 16), "0/16"),
        (slurm(16, 1, 16, 1, 16), "15/16"),
        (slurm(8, 0, 12, 4, 4), "2/4"),
        (slurm(8, 0, 15, 4, 4), "2/4"),
        (slurm(17, 3, 17, 1, 2) | SHARDS, "17/64"),
        (KUBERNETES | SHARDS, "2/64"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "9", "AWS_BATCH_JOB_ARRAY_SIZE": "10"}, "9/10"),
    ],
)
def test_the_shard_of_an_array_job(variables: Mapping[str, str], shard: str) -> None:
    assert str(shard_of_job(variables)) == shard


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "this is no array job that is known: none of SLURM_ARRAY_TASK_ID, JOB_COMPL"),
        (SHARDS, "this is no array job that is known"),
        (KUBERNETES, "does not tell its number of completions; set the variable NSFWSCAN_SHARDS"),
        (KUBERNETES | {"NSFWSCAN_SHARDS": "many"}, "NSFWSCAN_SHARDS must be .*: 'many'"),
        (KUBERNETES | {"NSFWSCAN_SHARDS": "2"}, "there is no shard 2/2"),
        (slurm(17, 3, 17, 1, 2), "no plain range; number them from 0 and set NSFWSCAN_SHARDS"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "the variable SLURM_ARRAY_TASK_MIN must be"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "1"}, "the variable AWS_BATCH_JOB_ARRAY_SIZE must be"),
    ],
)
def test_variables_that_do_not_tell_the_shard_are_refused(
    variables: Mapping[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        shard_of_job(variables)
