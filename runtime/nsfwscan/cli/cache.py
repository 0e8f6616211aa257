"""The commands ``nsfwscan cache info`` and ``nsfwscan cache clear``."""

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


@app.command("clear")
def clear(cache: o.CacheFile = None) -> None:
    """Delete the cache."""
    with errors_as_exit_codes():
        from nsfwscan.cache.database import clear as delete
        from nsfwscan.cache.database import default_path

        path = cache or default_path()
        existed = delete(path)
        typer.echo(f"{'deleted' if existed else 'there is no cache at'} {printable(str(path))}")
