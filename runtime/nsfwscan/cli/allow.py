"""The command ``nsfwscan allow``."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsfwscan.cli.framework import errors_as_exit_codes
from nsfwscan.errors import InputError
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.review.allowlist import Allowance

_DECISIONS = ".json"
_REVIEWED = "safe, by review"
_PIECE = 1 << 20  # bytes of one read


def allow(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="Images, or files of decisions, whose names end in .json.",
        ),
    ],
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Why they are safe; images need it.", show_default=False),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="The last day on which they are allowed, such as 2027-06-30."
        ),
    ] = None,
    allow_file: Annotated[
        Path,
        typer.Option(
            "-o",
            "--allow-file",
            metavar="FILE",
            help="The allow-list to extend; the one of --allow if that is set.",
            envvar="NSFWSCAN_ALLOW",
            show_envvar=False,
        ),
    ] = Path("nsfwscan-allow.txt"),
) -> None:
    """Add images to an allow-list, for nsfwscan --allow.

    Of decisions, those are added that say that a flagged image is safe.
    """
    with errors_as_exit_codes():
        from nsfwscan.review import allowlist
        from nsfwscan.util.files import check_output

        today = allowlist.today()
        last = _day(until, today)
        said = None if reason is None else allowlist.reason_of(reason)
        if reason is not None and said is None:
            raise typer.BadParameter("--reason takes one line of text that can be printed")
        new = [one for file in files for one in _allowances(file, said, today, last)]
        check_output(allow_file, files)
        added, changed = allowlist.extend(allow_file, new)
        same = len({one.sha256 for one in new}) - added - changed
        counts = f"{added:,} added, {changed:,} changed, {same:,} as before"
        typer.echo(f"{printable(str(allow_file))}: {counts}")


def _day(until: str | None, today: date) -> date | None:
    from nsfwscan.review.allowlist import day_of

    if until is None:
        return None
    day = day_of(until)
    if day is None:
        raise typer.BadParameter(f"--until takes a day such as {today}, not {printable(until)}")
    if day < today:
        raise typer.BadParameter(f"--until {day} is in the past; give {today} or a later day")
    return day


def _allowances(
    file: Path, reason: str | None, today: date, until: date | None
) -> "Iterator[Allowance]":
    from nsfwscan.review.allowlist import Allowance

    if file.suffix == _DECISIONS:
        from nsfwscan.dataset.decisions import read_decisions

        digests = [
            one.sha256
            for one in read_decisions(file).decisions
            if one.decision == "safe" and one.status == "flagged"
        ]
    elif reason is None:
        raise typer.BadParameter(f"{printable(str(file))} is an image: give --reason")
    else:
        digests = [_sha256_of_image(file)]
    for sha256 in digests:
        yield Allowance(sha256=sha256, added=today, until=until, reason=reason or _REVIEWED)


def _sha256_of_image(file: Path) -> str:
    import hashlib

    from nsfwscan.sources.filetype import HEAD_BYTES, sniff
    from nsfwscan.sources.reader import open_regular, read_up_to
    from nsfwscan.sources.remote.redaction import is_meant_as_url, recorded

    if file.is_dir():
        raise InputError(f"{file} is a folder; name images or decisions (.json)")
    try:
        with open_regular(str(file), follow=True) as stream:
            if sniff(read_up_to(stream, HEAD_BYTES), file.name) is None:
                raise InputError(f"{file} is not an image; name images or decisions (.json)")
            stream.seek(0)
            digest = hashlib.sha256()
            while piece := stream.read(_PIECE):
                digest.update(piece)
            return digest.hexdigest()
    except OSError as error:
        why = error.strerror
        if isinstance(error, FileNotFoundError) and is_meant_as_url(str(file)):
            why = "this command takes files, and no URLs; fetch the image first"
        raise InputError(f"cannot read {recorded(str(file))}: {why}") from error
