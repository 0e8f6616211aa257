"""What the project's command lines share: help by panels, variables, a default command, errors."""

import difflib
import math
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from nsfwscan.errors import ConfigError, NsfwScanError
from nsfwscan.util.escape import printable

USAGE_ERROR = 2
INTERRUPTED = 130  # as a shell sees a program that SIGINT ends
BROKEN_PIPE = 141  # and SIGPIPE


_asked: list[int] = []
_AT_ONCE = 2.0
"""Seconds in which one request to end after the other is taken for the same."""


class Terminated(KeyboardInterrupt):
    """The program is asked to end: all that knows what to do at Ctrl-C does the same.

    Attributes
    ----------
    number : int
        The signal: SIGINT, SIGTERM, or SIGHUP where a terminal was closed.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def option(
    *names: str,
    panel: str,
    help: str,  # noqa: A002 - typer's word
    **more: Any,
) -> Any:
    """Declare an option that the variable ``NSFWSCAN_<NAME>`` can set too.

    Parameters
    ----------
    names
        The option as it is written, its long name last.
    panel
        Heading that it stands under in the help.
    help
        What it does, in a sentence.
    more
        What else `typer.Option` takes.
    """
    variable = re.sub(r"\W+", "_", names[-1].removeprefix("--")).upper()
    return typer.Option(
        *names,
        help=help,
        rich_help_panel=panel,
        envvar=f"NSFWSCAN_{variable}",
        show_envvar=False,
        **more,
    )


class CommandWithPanels(TyperCommand):
    """A command whose plain help groups the options by their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, one section a panel, in the order of their declaration."""
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
    """Commands of which the first is run where none is named, be there arguments or not.

    A word that is a command's name is that command; ``./name`` is always a path.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name before arguments that name none."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not args or args[0] not in {*self.commands, *own}:
            args = [self._default(ctx).name or "", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the default command's usage, and that there are others."""
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


def overrides(context: typer.Context, one: str, other: str) -> bool:
    """Tell whether an option is named nearer: flag before variable before file before default."""
    order = ("COMMANDLINE", "ENVIRONMENT", "DEFAULT_MAP", "DEFAULT")
    near, far = (getattr(context.get_parameter_source(name), "name", "") for name in (one, other))
    return order.index(near) < order.index(far)


def checked_defaults(
    values: Mapping[str, Any],
    source: Path,
    command: Any,
    context: typer.Context,
) -> dict[str, Any]:
    """Check the values of an options file as if they stood on the command line.

    Parameters
    ----------
    values
        By option name.
    source
        The file, for the error message.
    command
        The command whose options they are.
    context
        The context of its group.

    Returns
    -------
    dict
        Values by parameter name: what typer takes as a context's ``default_map``.

    Raises
    ------
    ConfigError
        If there is no such option, or the value is none of its.
    """
    options = {
        name.removeprefix("--"): parameter
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--")
    }
    defaults = {}
    for key, value in values.items():
        if key not in options:
            near = difflib.get_close_matches(key, options, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"see {context.command_path} --help"
            raise ConfigError(f"{source}: there is no option {key!r}; {hint}")
        parameter = options[key]
        if parameter.is_flag != isinstance(value, bool):
            wanted = "true or false" if parameter.is_flag else "a value, not true or false"
            raise ConfigError(f"{source}: {key} takes {wanted}")
        given = [value] if parameter.multiple and isinstance(value, str) else value
        if parameter.multiple and not (
            isinstance(given, list) and all(isinstance(item, str) for item in given)
        ):
            raise ConfigError(f"{source}: {key} takes a string or a list of strings")
        if isinstance(given, (int, float)) and not parameter.is_flag:
            with suppress(ValueError):  # of more digits than are written out
                given = str(given)  # as if it stood on the command line: 1.5 is no whole number
        texts = given if isinstance(given, list) else [given]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ConfigError(f"{source}: {key}: no value holds a NUL character")
        if not parameter.multiple and not isinstance(given, (str, bool)):
            raise ConfigError(f"{source}: {key}: {value!r} is no value of this option")
        try:
            parameter.process_value(context, given)
        except typer.BadParameter as error:
            raise ConfigError(f"{source}: {key}: {error.message}") from error
        defaults[parameter.name] = given
    return defaults


def run(app: typer.Typer, program: str) -> NoReturn:
    """Run a command line as the whole of a process.

    Parameters
    ----------
    app
        The commands.
    program
        The name it goes by.
    """
    _fill_standard_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they are for whoever works on this
    _heed_signals()
    code: int | str | None = 0
    try:
        with errors_as_exit_codes(program):
            try:
                app(prog_name=program)
            except KeyboardInterrupt:  # where no command is under way yet, or any more
                code = INTERRUPTED
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
    except SystemExit as end:
        code = end.code
    except typer.Exit as end:
        code = end.exit_code
        _forget_standard_output()  # it failed before, and would fail again at the very end
    sys.exit(128 + _asked[0] if _asked and code == INTERRUPTED else code)


def asked_to_end() -> bool:
    """Tell whether a signal has asked this program to end.

    For whoever goes on all the same: of two signals at the same moment the interpreter was seen to
    lose, now and then, the exception that the first had raised.
    """
    return bool(_asked)


def _heed_signals() -> None:
    """Raise `Terminated` at a request to end, unless whoever starts the program says no.

    Another one at the same time must not disturb the end that is under way.
    """
    last = -math.inf

    def end(number: int, _frame: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > _AT_ONCE:
            _asked.append(number)
            raise Terminated(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        usual = (signal.SIG_DFL, signal.default_int_handler)
        if number is not None and signal.getsignal(number) in usual:
            signal.signal(number, end)


def end_at_once(code: int | str | None) -> NoReturn:
    """End the process without taking down piece by piece what is in it, which takes time.

    For a program that leaves nothing to be done at its end: its files are closed, and processes of
    its own end with it.

    Parameters
    ----------
    code
        As for `sys.exit`.
    """
    if code is None:
        code = 0
    if not isinstance(code, int):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(code)


def _fill_standard_streams() -> None:
    """Put the null device where a standard stream is closed, lest a file of ours takes its place.

    Standard error is then written to nowhere. `sys.stdout` stays None: results need a place.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest descriptor that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end


def _forget_standard_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep what libraries written in C print on standard error from the terminal.

    File descriptor 2 leads nowhere until the end of the block; what Python prints on `sys.stderr`
    goes where it always went.
    """
    sys.stderr.flush()
    before, descriptor = sys.stderr, 2
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    stream = open(kept, "w", buffering=1, encoding=before.encoding, errors=before.errors)  # noqa: SIM115 - closed below, whatever a full disk says
    sys.stderr = stream
    try:
        yield
    finally:
        sys.stderr = before
        os.dup2(kept, descriptor)
        with suppress(OSError):
            stream.close()


def _say(text: str) -> None:
    with suppress(OSError):  # where nobody can be told, the exit code still tells
        typer.echo(text, err=True)


@contextmanager
def errors_as_exit_codes(
    program: str = "nsfwscan", *, verbose: bool | None = None, extra: str | None = None
) -> Iterator[None]:
    """Turn exceptions into one sentence on standard error and an exit code.

    Parameters
    ----------
    program
        The name that the sentence begins with.
    verbose
        Show the traceback of an error that nobody foresaw. None: the command has no such option.
    extra
        The extra that brings a package which is not installed. None: they all come with the base.

    Raises
    ------
    typer.Exit
        In place of the exception.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except NsfwScanError as error:
        _say(f"{program}: {printable(str(error))}")
        raise typer.Exit(USAGE_ERROR) from error
    except BrokenPipeError as error:
        _forget_standard_output()  # or the interpreter would complain when it flushes
        raise typer.Exit(BROKEN_PIPE) from error
    except OSError as error:
        _say(f"{program}: {printable(str(error))}")
        raise typer.Exit(USAGE_ERROR) from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and extra is not None:
            package = (error.name or "").partition(".")[0]
            install = f'pip install "nsfwscan[{extra}]"'
            _say(f"{program}: this needs {package}, which is not installed: {install}")
            raise typer.Exit(USAGE_ERROR) from error
        if verbose:
            traceback.print_exc()
        said = printable(f"{type(error).__name__}: {error}")
        hint = "" if verbose is not False else "; run again with --verbose for the details"
        _say(f"{program}: internal error, please report it: {said}{hint}")
        raise typer.Exit(USAGE_ERROR) from error
