"""What the three command lines share: help by panels, variables, a default command, errors."""

import itertools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import TyperPath

from nsfwscan.cli import termination
from nsfwscan.cli.streams import discard_stdout, replace_closed_streams
from nsfwscan.cli.termination import BROKEN_PIPE, INTERRUPTED, USAGE_ERROR
from nsfwscan.errors import NsfwScanError
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.reports.progress import Progress, Total

_VERSION = "--version"

_EXTRAS = {"pyarrow": "parquet"}
"""Extras of packages that several commands can need."""


def option(names: str, panel: str, help: str, **more: Any) -> Any:  # noqa: A002 - typer's word
    """Declare an option that the environment variable ``NSFWSCAN_<NAME>`` can also set.

    Parameters
    ----------
    names
        The option's names, the long one last, and the name of its value: ``-o --output FILE``.
    panel
        Its heading in the help.
    help
        One sentence: what it does.
    more
        Further arguments of `typer.Option`.
    """
    words = names.split()
    flags = [word for word in words if word.startswith("-")]
    variable = flags[-1].removeprefix("--").replace("-", "_").upper()
    return typer.Option(
        *flags,
        metavar=None if len(flags) == len(words) else words[-1],
        help=help,
        rich_help_panel=panel,
        envvar=f"NSFWSCAN_{variable}",
        show_envvar=False,
        **more,
    )


class _PathFromHome(TyperPath):
    """The type of a path that may begin with ``~``.

    Shells do not expand it in ``--cache=~/x``, and nobody expands it in a file or a variable.
    """

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Replace ``~`` and ``~user`` by the home folder."""
        if isinstance(value, str) and value.startswith("~"):
            value = os.path.expanduser(value)
            if value.startswith("~"):
                self.fail(f"{value!r}: there is no such home folder; write ./{value}", param, ctx)
        return super().convert(value, param, ctx)


def with_home(command: Any) -> Any:
    """Let the options and arguments of a command and its subcommands begin with ``~``."""
    for parameter in command.params:
        if isinstance(parameter.type, TyperPath):
            parameter.type.__class__ = _PathFromHome
    for subcommand in getattr(command, "commands", {}).values():
        with_home(subcommand)
    return command


class CommandWithPanels(TyperCommand):
    """A command whose help groups the options by panel, without rich's boxes."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, in the order of declaration."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                panel = getattr(parameter, "rich_help_panel", None)
                heading = "Arguments" if is_argument else panel or "Options"
                name = parameter.metavar if is_argument and parameter.metavar else record[0]
                sections.setdefault(heading, []).append((name, record[1]))
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=28)


class GroupWithDefault(TyperGroup):
    """A group whose first command runs if the first argument is not a command.

    A path that is also a command's name is written ``./name``. ``--version`` takes precedence over
    the default command's options, as it does elsewhere.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command's name if the first argument is not a command."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not args or args[0] not in {*self.commands, *own}:
            options = list(itertools.takewhile(lambda one: one != "--", args))
            asks = _VERSION in own and _VERSION in options
            args = [_VERSION] if asks else [self._default(ctx).name or "", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage of the default command and of the others."""
        pieces = " ".join(self._default(ctx).collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces)
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS]...", "       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the default command's options, then this group's own, then the commands."""
        default = self._default(ctx)
        hidden, default.add_help_option = default.add_help_option, False
        try:
            default.format_options(ctx, formatter)
        finally:
            default.add_help_option = hidden
        super().format_options(ctx, formatter)

    def _default(self, ctx: Any) -> Any:
        return self.get_command(ctx, self.list_commands(ctx)[0])


def run(app: typer.Typer, program: str) -> NoReturn:
    """Run a command line as the whole of a process.

    Parameters
    ----------
    app
        The commands.
    program
        The program's name.
    """
    replace_closed_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # Python's warnings address developers
    termination.install_handlers()
    code: int | str | None = 0
    try:
        with errors_as_exit_codes(program):
            try:
                with termination.unwrapped():
                    code = _call(with_home(typer.main.get_command(app)), program)
            except KeyboardInterrupt:  # before or after a command that handles it
                code = INTERRUPTED
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
    except SystemExit as end:
        code = end.code
    except typer.Exit as end:
        code = end.exit_code
        discard_stdout()  # it failed once, and would fail again at shutdown
    signal = termination.requested()
    if signal is not None:
        # The interpreter's shutdown can take seconds, in which a further signal would kill it.
        termination.end_at_once(128 + signal if code == INTERRUPTED else code)
    sys.exit(code)


def _call(command: Any, program: str) -> int | None:
    """Run a command and return its exit code; print an error of usage with names escaped."""
    try:
        code: int | None = command(prog_name=program, standalone_mode=False)
    except Exception as error:
        usage: Any = error
        if not hasattr(usage, "show"):  # typer does not export the class of errors of usage
            raise
        if usage.ctx is None or usage.message != usage.ctx.get_help():
            usage.message = printable(usage.message)
        usage.show()
        sys.exit(usage.exit_code)
    return code


def show_progress(program: str) -> "Progress":
    """Return what shows the progress of a program's work on standard error."""
    from nsfwscan.reports.console import console
    from nsfwscan.reports.progress import progress

    def say(line: str) -> None:
        _say(f"{program}: {line}")

    def show(label: str, total: "Total") -> AbstractContextManager[Callable[[int], None]]:
        return progress(console(sys.stderr, "auto") if sys.stderr.isatty() else say, label, total)

    return show


def _say(text: str) -> None:
    with suppress(OSError):  # standard error is closed or full; the exit code remains
        typer.echo(text, err=True)


@contextmanager
def errors_as_exit_codes(
    program: str = "nsfwscan", *, verbose: bool | None = None, extra: str | None = None
) -> Iterator[None]:
    """Turn exceptions into one sentence on standard error and an exit code.

    Parameters
    ----------
    program
        The program's name, with which the sentence begins.
    verbose
        Whether to print the traceback of an unexpected error. None: the command has no
        ``--verbose``.
    extra
        The extra that installs the command's optional packages. None: it has none.

    Raises
    ------
    typer.Exit
        Instead of the exception.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except NsfwScanError as error:
        _say(f"{program}: {printable(str(error))}")
        raise typer.Exit(USAGE_ERROR) from error
    except BrokenPipeError as error:
        discard_stdout()  # the interpreter would complain when it flushes
        raise typer.Exit(BROKEN_PIPE) from error
    except OSError as error:
        _say(f"{program}: {printable(str(error))}")
        raise typer.Exit(USAGE_ERROR) from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError):
            package = (error.name or "").partition(".")[0]
            if (needed := _EXTRAS.get(package, extra)) is not None:
                install = f'pip install "nsfwscan[{needed}]"'
                _say(f"{program}: this needs {package}, which is not installed: {install}")
                raise typer.Exit(USAGE_ERROR) from error
        if verbose:
            for line in traceback.format_exc().splitlines():
                _say(printable(line))
        said = printable(f"{type(error).__name__}: {error}")
        hint = "" if verbose is not False else "; run again with --verbose for the details"
        _say(f"{program}: internal error, please report it: {said}{hint}")
        raise typer.Exit(USAGE_ERROR) from error
