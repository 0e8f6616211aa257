"""The commands on finished runs: evaluate one, report on several."""

from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli.framework import show_progress
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.util.escape import printable
from nsfwtrain.cli import options as t
from nsfwtrain.cli.messages import PROGRAM, errors, say, warn


def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    store: t.Store,
    split_file: t.SplitOption,
    out: Annotated[
        Path | None,
        t.option("--out FOLDER", "Default: a folder for this split in RUN/evaluations."),
    ] = None,
    skip_bad: t.SkipBad = False,
    cache: t.Cache = None,
) -> None:
    """Evaluate a run on the test part of any split."""
    with errors(), silent_libraries():
        from nsfwtrain.run.evaluate import evaluate_run
        from nsfwtrain.run.options import Study
        from nsfwtrain.run.results import read_facts
        from nsfwtrain.run.verdict import verdict

        folder, metrics = evaluate_run(
            run_folder,
            store,
            split_file,
            out,
            cache=cache or store / "cache",
            skip_bad=skip_bad,
            say=say,
            progress=show_progress(PROGRAM),
        )
        for name, value in metrics.items():
            shown = f"{value:.4f}" if isinstance(value, float) else value
            typer.echo(f"{name.replace('_', ' '):20} {shown}")
        recipe = read_facts(run_folder).get("options", {}).get("recipe", Study.name)
        say(verdict(metrics, None, recipe))
        say(f"the evaluation is in {folder}")


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of runs.")],
) -> None:
    """Compare the finished runs of a folder in Markdown, HTML, CSV and charts."""
    with errors(), silent_libraries():
        from nsfwtrain.report.comparison import write_report

        for path in write_report(folder, say=warn):
            typer.echo(printable(str(path)))
