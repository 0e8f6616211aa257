"""The command ``nsfwscan merge``: one report out of those of all shards."""

from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli.framework import errors_as_exit_codes


def merge(
    parts: Annotated[
        list[Path],
        typer.Argument(metavar="PART", help="The reports in parquet of all shards of a scan."),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The report of all, in parquet."),
    ],
    exit_zero: o.ExitZero = False,
) -> None:
    """Merge the reports of shards (scan --shard I/N --format parquet).

    Each shard must be there once, complete, and scanned with the same version, model, threshold
    and options. The exit code is that of a scan of all files.
    """
    with errors_as_exit_codes():
        from nsfwscan.cli.preparation import check_regular_file
        from nsfwscan.reports.footer import footer_of
        from nsfwscan.reports.merge import copy_records, read_parts
        from nsfwscan.reports.output import open_output
        from nsfwscan.reports.parquet import ParquetTable
        from nsfwscan.reports.summary import Summary
        from nsfwscan.util.files import check_output

        check_regular_file(output)
        check_output(output, parts)
        found, summary = read_parts(parts), Summary()
        with open_output(output, "parquet", raw=False) as out:
            table = ParquetTable(out)
            copy_records(found, table, summary)
            table.close(footer_of(found[0][1].origin, None, summary))
        typer.echo(summary.counts(), err=True)
    raise typer.Exit(summary.exit_code(exit_zero=exit_zero))
