"""The command ``nsfwscan``: its commands, its version, and its options file.

Slow imports are inside the commands, so that ``--help`` is quick.
"""

import hashlib
from typing import Annotated, Any, NoReturn

import typer

from nsfwscan.cli import cache
from nsfwscan.cli.allow import allow
from nsfwscan.cli.apply import apply, undo
from nsfwscan.cli.cluster import cluster
from nsfwscan.cli.config import OPTIONS_FILE, checked_defaults, find_config, read_config
from nsfwscan.cli.doctor import doctor
from nsfwscan.cli.framework import (
    CommandWithPanels,
    GroupWithDefault,
    errors_as_exit_codes,
    run,
)
from nsfwscan.cli.listing import list_files
from nsfwscan.cli.manifest import manifest
from nsfwscan.cli.merge import merge
from nsfwscan.cli.model import model
from nsfwscan.cli.review import review
from nsfwscan.cli.scan import scan
from nsfwscan.cli.termination import end_at_once
from nsfwscan.errors import ModelError, NsfwScanError
from nsfwscan.util.escape import printable

app = typer.Typer(
    cls=GroupWithDefault,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (scan, merge, cluster, review, apply, undo, allow, model, manifest, doctor):
    app.command(cls=CommandWithPanels)(_command)
app.command("list", cls=CommandWithPanels)(list_files)
app.add_typer(
    cache.app, name="cache", help="Show, prune or delete the scores that earlier scans have kept."
)


def main() -> NoReturn:
    """Run the command line as the whole of a process."""
    try:
        run(app, "nsfwscan")
    except SystemExit as end:
        end_at_once(end.code)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    with errors_as_exit_codes():
        from nsfwscan import __version__
        from nsfwscan.inference.modelfile import default_model_path, read_model
        from nsfwscan.inference.session import engine_version

        typer.echo(f"nsfwscan {__version__}")
        typer.echo(engine_version() or "no inference engine is installed")
        try:
            file = default_model_path()
            typer.echo(
                f"{printable(file.stem)} {hashlib.sha256(read_model(file)).hexdigest()[:12]}"
            )
        except ModelError as error:
            typer.echo(printable(str(error)))
    raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_versions,
            is_eager=True,
            help="Print the versions of package, engine and model.",
        ),
    ] = False,
) -> None:
    """Find indecent images in files and folders, on this machine.

    Exit codes: 0 all safe, 1 something flagged, 2 wrong usage or something that could not be
    scored, 130 interrupted, 143 ended by SIGTERM.

    Each option can also be set by a variable (NSFWSCAN_THRESHOLD for --threshold) or in a file
    nsfwscan.toml in the current folder or the user's configuration folder.
    """
    del version  # its callback handles it
    if context.invoked_subcommand in {
        "scan",
        "list",
        "cluster",
        "model",
        "cache",
        "doctor",
        "allow",
    }:
        with errors_as_exit_codes():
            try:
                defaults = _defaults_from_file(context)
            except NsfwScanError:
                raise
            except Exception:
                if context.invoked_subcommand != "doctor":
                    raise
                defaults = {}  # the doctor itself reports what is broken
            path = {name: value for name, value in defaults.items() if name == "cache"}
            context.default_map = {
                "scan": defaults,
                "list": defaults,
                "cluster": defaults,
                "model": {
                    "file": defaults.get("model"),
                    "manifest": defaults.get("manifest"),
                },
                "cache": dict.fromkeys(("info", "prune", "clear"), path),
                "doctor": {k: v for k, v in defaults.items() if k in {"cache", "device"}},
                "allow": {"allow_file": defaults["allow"]} if "allow" in defaults else {},
            }


def _defaults_from_file(context: typer.Context) -> dict[str, Any]:
    path = find_config()
    if path is None:
        return {}
    context.meta[OPTIONS_FILE] = path
    command = context.command.commands["scan"]  # type: ignore[attr-defined]  # it is a group
    return checked_defaults(read_config(path), path, command, context)
