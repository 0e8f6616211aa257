"""Convert many runs, each in its own process so that its memory is freed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

from nsfwexport import modelfile
from nsfwexport.errors import ConversionError
from nsfwexport.runs import read_facts
from nsfwexport.tables import aligned
from nsfwscan.cli.child import started
from nsfwscan.reports.progress import Progress, no_progress
from nsfwscan.util.escape import printable

_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of converting one run.

    Attributes
    ----------
    name
        The name of the run folder.
    seconds
        Duration of the conversion.
    megabytes
        Size of the ONNX file; None if the conversion failed.
    largest
        Largest difference of a probability in any comparison.
    flips
        Number of decisions that differ, over all comparisons.
    error
        The reason of a failure.
    """

    name: str
    seconds: float
    megabytes: float | None = None
    largest: float | None = None
    flips: int | None = None
    error: str | None = None


def convert_all(
    runs: Path, out: Path, arguments: Sequence[str], progress: Progress = no_progress
) -> list[Row]:
    """Convert every finished run of a folder; a run that fails does not stop the others.

    An interrupted run is one that fails: `convert` alone takes it, if that is wanted.

    Parameters
    ----------
    runs
        Folder of run folders.
    out
        Folder of the ONNX files, created if missing. Each file has the name of its run.
    arguments
        Further arguments of ``nsfwexport convert``.

    Raises
    ------
    ConversionError
        If `runs` holds no finished run, or `out` cannot be created.
    """
    found = sorted(path.parent for path in runs.glob("*/run.json"))
    if not found:
        raise ConversionError(f"{runs} holds no finished run; make some with nsfwtrain sweep")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConversionError(f"cannot create {out}: {error.strerror}") from error
    rows = []
    with progress("converting runs", len(found)) as advance:
        for run in found:
            rows.append(_convert(run, out / f"{run.name}.onnx", arguments))
            advance(len(rows))
    return rows


def _convert(run: Path, file: Path, arguments: Sequence[str]) -> Row:
    if (why := _refusal(run)) is not None:
        return Row(name=run.name, seconds=0, error=why)
    command = ["convert", "-o", str(file), *arguments, "--", str(run)]
    begun = time.perf_counter()
    with started("nsfwexport", command, stdout=DEVNULL, stderr=PIPE, errors="replace") as child:
        _, said = child.communicate()
    seconds = time.perf_counter() - begun
    if child.returncode:
        lines = said.strip().splitlines() or [f"exit code {child.returncode}"]
        errors = [line for line in lines if line.startswith(("nsfwexport: ", "Error: "))]
        why = (errors or lines)[-1].removeprefix("nsfwexport: ")  # after lines of progress
        return Row(name=run.name, seconds=seconds, error=why)
    comparisons = (modelfile.read(file)[1].parity or {})["comparisons"]
    return Row(
        name=run.name,
        seconds=seconds,
        megabytes=file.stat().st_size / _MEGABYTE,
        largest=max(c["probability"]["largest"] for c in comparisons),
        flips=sum(c["flips"] for c in comparisons),
    )


def _refusal(run: Path) -> str | None:
    """Return why a run is not converted, or None."""
    try:
        interrupted = (read_facts(run) or {}).get("interrupted")
    except ConversionError as error:
        return str(error)
    if not interrupted:
        return None
    return (
        "the run was interrupted; continue it with nsfwtrain fit --resume, or convert it as it is "
        "with nsfwexport convert"
    )


def table(rows: Sequence[Row]) -> str:
    """Format the results as a table, followed by the reasons of failures."""
    cells = [("run", "seconds", "MB", "largest difference", "flips")]
    cells += [
        (
            printable(row.name),
            f"{row.seconds:.0f}",
            "-" if row.megabytes is None else f"{row.megabytes:.1f}",
            "-" if row.largest is None else f"{row.largest:.2g}",
            "failed" if row.error else str(row.flips),
        )
        for row in rows
    ]
    failures = (printable(f"{row.name}: {row.error}") for row in rows if row.error)
    return "\n".join([aligned(cells), *failures])
