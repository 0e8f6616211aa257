"""The commands ``nsfwscan apply`` and ``nsfwscan undo``."""

import os
import shlex
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.cli.termination import USAGE_ERROR
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.review.plan import Plan
    from nsfwscan.review.run import Counts
    from nsfwscan.review.selection import Wanted
    from nsfwscan.review.steps import Action

_DONE = {
    "move": "moved", "copy": "copied", "link": "linked to", "trash": "put into the trash:",
    "tag": "tagged",
}  # fmt: skip


class Tag(StrEnum):
    """Where a keyword is written."""

    XMP = "xmp"


def _option(name: str, help: str, metavar: str | None = None) -> Any:  # noqa: A002 - typer's word
    return typer.Option(name, metavar=metavar, help=help)


def apply(
    decisions: Annotated[
        Path | None,
        typer.Argument(metavar="DECISIONS", help="A decisions.json; its indecent images count."),
    ] = None,
    results: Annotated[
        Path | None,
        _option("--from", "A report (jsonl, json, parquet), instead of decisions.", "FILE"),
    ] = None,
    flagged: Annotated[
        bool, _option("--flagged", "Act upon the flagged images of the report.")
    ] = False,
    move_to: Annotated[
        Path | None, _option("--move-to", "Move the images into a folder.", "DIR")
    ] = None,
    copy_to: Annotated[
        Path | None, _option("--copy-to", "Copy the images into a folder.", "DIR")
    ] = None,
    link_to: Annotated[
        Path | None, _option("--link-to", "Create symbolic links to them in a folder.", "DIR")
    ] = None,
    trash: Annotated[bool, _option("--trash", "Put the images into the trash.")] = False,
    tag: Annotated[
        Tag | None,
        _option("--tag", "Write the keyword and the score into sidecars: xmp.", "FORMAT"),
    ] = None,
    base: Annotated[
        Path | None, _option("--base", "The folder that relative paths refer to.", "DIR")
    ] = None,
    dry_run: Annotated[bool, _option("--dry-run", "Print the plan and change nothing.")] = False,
    journal: Annotated[
        Path | None,
        _option("--journal", "Write the journal here. If it exists, resume what it says.", "FILE"),
    ] = None,
) -> None:
    """Move, copy, link, trash or tag images after a scan.

    Each file is verified by its digest before it is touched, and sidecars go with their image.
    Nothing is ever overwritten. Exit codes: 0 done, 2 something could not be done.
    """
    with errors_as_exit_codes(extra="review"):
        from nsfwscan.errors import InputError

        given: dict[Action, Path | bool | Tag | None] = {
            "move": move_to, "copy": copy_to, "link": link_to, "trash": trash, "tag": tag,
        }  # fmt: skip
        actions = [name for name, value in given.items() if value]
        if len(actions) != 1:
            raise InputError("pass one of --move-to, --copy-to, --link-to, --trash and --tag xmp")
        if (decisions is None) == (results is None):
            raise InputError("pass a decisions.json, or a report with --from and --flagged")
        if (results is None) == flagged:
            raise InputError("pass --from and --flagged together: flagged images of a report count")
        folder = move_to or copy_to or link_to
        source = decisions or results
        assert source is not None  # noqa: S101 - one of them is given
        failed = _apply(
            actions[0],
            source,
            is_report=flagged,
            base=base,
            folder=None if folder is None else os.path.realpath(folder),
            journal=journal,
            dry_run=dry_run,
        )
    raise typer.Exit(USAGE_ERROR if failed else 0)


def undo(
    journal: Annotated[
        Path, typer.Argument(metavar="JOURNAL", help="The journal that apply has written.")
    ],
) -> None:
    """Undo what a journal says, to the byte and the time stamp.

    Nothing is overwritten: what has changed meanwhile stays. Exit codes: 0 undone, 2 something
    could not be undone.
    """
    with errors_as_exit_codes(extra="review"):
        from nsfwscan.review.journal import Journal, read_journal
        from nsfwscan.review.run import revert

        if read_journal(journal).is_restored:
            typer.echo(f"{printable(str(journal))} is undone already")
            raise typer.Exit
        with Journal(journal) as opened:
            counts = revert(opened, _say)
        typer.echo(f"restored {_counted(counts)}{_failures(counts.failed)}")
    raise typer.Exit(USAGE_ERROR if counts.failed else 0)


def _apply(
    action: "Action",
    source: Path,
    *,
    is_report: bool,
    base: Path | None,
    folder: str | None,
    journal: Path | None,
    dry_run: bool,
) -> int:
    """Plan and act, and return how many files could not be acted upon."""
    from nsfwscan.review.journal import Header, Journal, new_journal_path, resumed
    from nsfwscan.review.plan import Plan
    from nsfwscan.review.run import apply as do_all
    from nsfwscan.review.survey import make_plan
    from nsfwscan.review.trash import RESTORABLE

    header = Header(
        action=action,
        input=os.path.realpath(source),
        folder=folder or "",
        digest=_digest(source),
    )
    if action == "trash":
        import_module("send2trash")
    if action == "trash" and not RESTORABLE:
        _say("files in the trash of this system are restored by hand, not by nsfwscan undo")
    path = journal or new_journal_path(source, action)
    content = resumed(path, header) if os.path.lexists(path) else None
    if content is not None:
        plan = Plan([s for n, s in enumerate(content.steps) if n not in content.done])
    else:
        plan = make_plan(_wanted(source, base, is_report=is_report), action, folder or "")
    failures = sum(note.is_failure for note in plan.notes)
    if dry_run:
        _show(plan)
        typer.echo(f"{_planned(plan)}; nothing is changed")
        return failures
    for note in plan.notes:
        _say(f"{note.path}: {note.why}")
    if content is None and not plan.steps:
        typer.echo(f"nothing to do{_failures(failures)}")
        return failures
    with (
        Journal(path) if content is not None else Journal.create(path, header, plan.steps) as opened
    ):
        _say(f"journal: {opened.path}")
        counts = do_all(opened, _say)
    failures += counts.failed
    place = f" into {folder}" if action in {"move", "copy"} else f" in {folder}" * bool(folder)
    left = len(plan.notes) - failures + counts.failed
    kept = f"; {left} left alone" if left else ""
    typer.echo(printable(f"{_DONE[action]} {_counted(counts)}{place}{kept}{_failures(failures)}"))
    typer.echo(printable(f"to undo: nsfwscan undo {shlex.quote(str(opened.path))}"))
    return failures


def _digest(source: Path) -> str:
    """Return the SHA-256 of an input; empty for a pipe, which can be read only once."""
    from nsfwscan.errors import InputError
    from nsfwscan.util.digest import file_sha256

    if not source.is_file():
        return ""
    try:
        return file_sha256(source)
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}") from error


def _wanted(source: Path, base: Path | None, *, is_report: bool) -> "list[Wanted]":
    from dataclasses import replace

    from nsfwscan.dataset.decisions import read_decisions
    from nsfwscan.reports.results import read_results
    from nsfwscan.review.selection import flagged, indecent

    given = None if base is None else os.path.abspath(base)
    if is_report:
        return flagged(read_results(source, _say), given or os.getcwd())
    decisions = read_decisions(source)
    return indecent(decisions if given is None else replace(decisions, base=given))


def _show(plan: "Plan") -> None:
    from nsfwscan.cli.tables import print_table

    rows: list[tuple[str, ...]] = [
        (step.op, step.path, f"{step.target}{' has the same content' * (step.op == 'drop')}")
        for step in plan.steps
    ]
    rows += [("failed" if note.is_failure else "leave", note.path, note.why) for note in plan.notes]
    print_table(("step", "file", "to, or why not"), rows)


def _planned(plan: "Plan") -> str:
    from nsfwscan.review.run import Counts

    counts = Counts(failed=sum(note.is_failure for note in plan.notes))
    for step in plan.steps:
        counts.add(step)
    return f"planned: {_counted(counts)}{_failures(counts.failed)}"


def _counted(counts: "Counts") -> str:
    images = f"{counts.images:,} image{'s' * (counts.images != 1)}"
    sidecars = f"{counts.sidecars:,} sidecar{'s' * (counts.sidecars != 1)}"
    return f"{images} and {sidecars}" if counts.sidecars else images


def _failures(count: int) -> str:
    return f"; {count:,} failed" if count else ""


def _say(text: str) -> None:
    typer.echo(f"nsfwscan: {printable(text)}", err=True)
