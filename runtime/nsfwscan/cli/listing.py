"""The command ``nsfwscan list``: the files that a scan would read, as a table."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli.framework import errors_as_exit_codes

if TYPE_CHECKING:
    from nsfwscan.reports.listing import Row


def list_files(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The table: FILE.parquet, .csv or .jsonl."
        ),
    ],
    paths: o.Paths = None,
    files_from: o.FilesFrom = None,
    null: o.Null = False,
    glob: o.Glob = None,
    no_ignore: o.NoIgnore = False,
    hidden: o.Hidden = False,
    follow: o.Follow = False,
    max_depth: o.MaxDepth = None,
) -> None:
    """Write path, size and time of the files that a scan would read, for --files-from.

    No file is opened, so that files that are not images are listed too.
    """
    given = SimpleNamespace(**locals())
    with errors_as_exit_codes(), ExitStack() as stack:
        from nsfwscan.cli.preparation import STDIN, list_of, selection_of
        from nsfwscan.reports.listing import row_of, write_list
        from nsfwscan.sources.entry import Skipped
        from nsfwscan.sources.walk import discover
        from nsfwscan.util.files import check_output

        named = [name for name in (*(paths or ()), files_from) if name is not None]
        if not named:
            raise typer.BadParameter("name files or folders, or give --files-from")
        if STDIN in (paths or ()):
            raise typer.BadParameter("an image on standard input (-) has no path to list")
        files = [Path(name) for name in named if not Path(name).is_dir()]
        check_output(output, [file for file in files if str(file) != STDIN])
        sources = list_of(list(dict.fromkeys(paths or ())), given, stack)
        skipped = listed = unknown = 0

        def rows() -> "Iterator[Row]":
            nonlocal skipped, listed, unknown
            for found in discover(sources, selection_of(given)):
                if isinstance(found, Skipped):
                    skipped += 1
                    continue
                row = row_of(found)
                listed += 1
                unknown += row.size is None
                yield row

        write_list(output, rows())
        said = f"{listed:,} listed, {skipped:,} skipped"
        if unknown:
            said += f"; {unknown:,} cannot be looked at, and a scan will say why"
        typer.echo(said, err=True)
