"""Shards: stable shares of what is found, so that several machines scan each file once."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nsfwscan.errors import InputError
from nsfwscan.sources.entry import Found, Problem

COUNT_VARIABLE = "NSFWSCAN_SHARDS"
"""The number of shards, where the array job does not tell it."""

_SHARD = re.compile(r"(\d+)/(\d+)", re.ASCII)
_SLURM, _KUBERNETES, _BATCH = (
    "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares of all locations.

    Attributes
    ----------
    index
        Which one, from 0.
    count
        How many there are.

    Raises
    ------
    InputError
        If there is no such shard.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        """Refuse a number that is out of range."""
        if not 0 <= self.index < self.count:
            raise InputError(
                f"there is no shard {self}: shards are numbered from 0, so that I of I/N is below N"
            )

    def __str__(self) -> str:
        """Return the shard as `parse_shard` reads it."""
        return f"{self.index}/{self.count}"

    def holds(self, location: str) -> bool:
        """Return whether a location is in this shard: it is in exactly one of `count`.

        It depends on nothing but the bytes of the location, as the record has it.
        """
        digest = hashlib.blake2b(_bytes(location), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index


def _bytes(location: str) -> bytes:
    try:
        return os.fsencode(location)
    except UnicodeEncodeError:  # no file has this name, but a list in JSON can
        return location.encode("utf-8", "surrogatepass")


def share(found: Iterator[Found], shard: Shard | None) -> Iterator[Found]:
    """Yield what is in a shard, and drop what is not; None is everything.

    A listing that failed is in every shard: nobody knows which of its entries are missing.
    """
    if shard is None:
        return found
    return (
        one
        for one in found
        if (isinstance(one, Problem) and one.is_listing) or shard.holds(one.location)
    )


def parse_shard(text: str) -> Shard:
    """Read a shard as its `str` is written: ``0/4``.

    Raises
    ------
    InputError
        If it is none.
    """
    match = _SHARD.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no shard: write I/N with I from 0, such as 0/4, or auto")
    return Shard(int(match[1]), int(match[2]))


def shard_of_job(variables: Mapping[str, str]) -> Shard:
    """Return the shard of a task of an array job, from its environment variables.

    Slurm's job arrays, indexed jobs of Kubernetes and array jobs of AWS Batch are known.

    Raises
    ------
    InputError
        If there is no such job, or its variables do not tell the shard.
    """
    if _SLURM in variables:
        return _slurm_shard(variables)
    if _KUBERNETES in variables:
        if COUNT_VARIABLE not in variables:
            raise InputError(
                "an indexed job of Kubernetes does not tell its number of completions; set the "
                f"variable {COUNT_VARIABLE} to it"
            )
        return Shard(_number(variables, _KUBERNETES), _number(variables, COUNT_VARIABLE))
    if _BATCH in variables:
        return Shard(_number(variables, _BATCH), _number(variables, "AWS_BATCH_JOB_ARRAY_SIZE"))
    raise InputError(
        f"this is no array job that is known: none of {_SLURM}, {_KUBERNETES} and {_BATCH} is set; "
        "name the shard, such as 0/4"
    )


def _slurm_shard(variables: Mapping[str, str]) -> Shard:
    """Return the place of a task in its array, or its very number if the count is given.

    The latter is for an array that runs a few tasks of an earlier one again.
    """
    task = _number(variables, _SLURM)
    if COUNT_VARIABLE in variables:
        return Shard(task, _number(variables, COUNT_VARIABLE))
    first, last, step, count = (
        _number(variables, f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "MAX", "STEP", "COUNT")
    )
    place, rest = divmod(task - first, max(step, 1))
    if rest or (last - first) // max(step, 1) + 1 != count:
        raise InputError(
            f"the tasks of the Slurm array are no plain range; number them from 0 and set "
            f"{COUNT_VARIABLE} to the number of shards"
        )
    return Shard(place, count)


def _number(variables: Mapping[str, str], name: str) -> int:
    text = variables.get(name, "")
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"the variable {name} must be the whole number of an array job: {text!r}")
    return int(text)
