"""The commands of ``nsfwscan cache``: ``info``, ``prune`` and ``clear``."""

import os

import typer
from typer.core import TyperGroup

from nsfwscan.cli import options as o
from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.util.escape import printable

app = typer.Typer(cls=TyperGroup, rich_markup_mode=None, no_args_is_help=True)


@app.command("info")
def info(cache: o.CacheFile = None) -> None:
    """Show where the cache is and what it contains."""
    with errors_as_exit_codes():
        from nsfwscan.cache.database import default_path
        from nsfwscan.cache.store import Cache

        path = cache or default_path()
        typer.echo(f"file      {printable(str(path))}")
        if not os.path.lexists(path):
            typer.echo("there is no cache yet")
            return
        with Cache(path) as opened:
            held = opened.info()
        typer.echo(f"size      {held.size / 1e6:,.1f} MB")
        typer.echo(f"files     {held.files:,} are not read again while they are unchanged")
        for model_, count in held.scores.items():
            typer.echo(f"scores    {count:,} by model {model_}")


@app.command("prune")
def prune(cache: o.CacheFile = None) -> None:
    """Drop the scores of files that no longer exist.

    Files on a disk that is not mounted are kept, and so are those in folders that cannot be read.
    """
    with errors_as_exit_codes():
        from nsfwscan.cache.database import default_path
        from nsfwscan.cache.prune import prune as drop

        path = cache or default_path()
        if not os.path.lexists(path):
            typer.echo(f"there is no cache at {printable(str(path))}")
            return
        done = drop(path)
        typer.echo(f"file      {printable(str(path))}")
        typer.echo(f"dropped   files that no longer exist: {done.files:,}; scores: {done.scores:,}")
        if done.unreachable:
            typer.echo(f"kept      files that may exist where it cannot look: {done.unreachable:,}")
        for place, why in done.places.items():
            typer.echo(f"          below {printable(place)}: {why}")
        if done.unknown:
            typer.echo(f"kept      files whose folder is not known before a scan: {done.unknown:,}")
        typer.echo(
            f"size      {done.before / 1e6:,.1f} MB before, {done.after / 1e6:,.1f} MB after"
        )


@app.command("clear")
def clear(cache: o.CacheFile = None) -> None:
    """Delete the cache."""
    with errors_as_exit_codes():
        from nsfwscan.cache.database import clear as delete
        from nsfwscan.cache.database import default_path

        path = cache or default_path()
        existed = delete(path)
        typer.echo(f"{'deleted' if existed else 'there is no cache at'} {printable(str(path))}")
