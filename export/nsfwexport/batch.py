"""Convert many runs, each in a process of its own, so that its memory is given back."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nsfwexport import modelfile
from nsfwexport.errors import ConversionError
from nsfwexport.tables import aligned
from nsfwscan.util.escape import printable

_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of a run.

    Attributes
    ----------
    name
        Of its folder.
    seconds
        What it took.
    megabytes
        Size of the file; None if there is none.
    largest
        Largest difference of a probability in any comparison.
    flips
        Decisions that differ, over all comparisons.
    error
        Why there is no file.
    """

    name: str
    seconds: float
    megabytes: float | None = None
    largest: float | None = None
    flips: int | None = None
    error: str | None = None


def convert_all(runs: Path, out: Path, arguments: Sequence[str]) -> list[Row]:
    """Convert every finished run of a folder; a failure does not end the rest.

    Parameters
    ----------
    runs
        Folder of run folders.
    out
        Folder of the ONNX files, made if it does not exist; one a run, by its name.
    arguments
        What else ``nsfwexport convert`` is told.

    Raises
    ------
    ConversionError
        If there is no finished run, or `out` cannot be made.
    """
    found = sorted(path.parent for path in runs.glob("*/run.json"))
    if not found:
        raise ConversionError(f"{runs} holds no finished run; make some with nsfwtrain sweep")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConversionError(f"cannot make {out}: {error.strerror}") from error
    return [_convert(run, out / f"{run.name}.onnx", arguments) for run in found]


def _convert(run: Path, file: Path, arguments: Sequence[str]) -> Row:
    command = [sys.executable, "-m", "nsfwexport", "convert", "-o", str(file)]
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, *arguments, "--", str(run)],
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        said = [line for line in lines if line.startswith(("nsfwexport: ", "Error: "))]
        why = (said or lines)[0].removeprefix("nsfwexport: ")
        return Row(name=run.name, seconds=seconds, error=why)
    comparisons = (modelfile.read(file)[1].parity or {})["comparisons"]
    return Row(
        name=run.name,
        seconds=seconds,
        megabytes=file.stat().st_size / _MEGABYTE,
        largest=max(c["probability"]["largest"] for c in comparisons),
        flips=sum(c["flips"] for c in comparisons),
    )


def table(rows: Sequence[Row]) -> str:
    """Lay out what became of the runs, and below it why some failed."""
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
