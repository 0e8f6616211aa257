"""Shards on the command line."""

import os
from typing import Any

import typer

from nsfwscan.errors import InputError


def shard_option(value: Any) -> Any:
    """Read a shard: ``I/N``, or ``auto`` for that of the array job in which this runs.

    Raises
    ------
    typer.BadParameter
        If it is neither, or there is no array job.
    """
    from nsfwscan.sources.shard import parse_shard, shard_of_job

    try:
        return shard_of_job(os.environ) if value == "auto" else parse_shard(str(value))
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
