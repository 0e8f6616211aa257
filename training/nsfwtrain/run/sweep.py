"""Train several variants one after another, each in a process of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from nsfwscan.cli.termination import Terminated
from nsfwscan.util.files import atomic_write
from nsfwtrain.errors import RunError, VariantError
from nsfwtrain.run.results import read_facts
from nsfwtrain.variants import VARIANTS, Variant, by_name

Outcome = Literal["done before", "done", "failed"]


def parse_variants(text: str) -> list[Variant]:
    """Parse a list of variants: ``b0-b7``, ``b0,b3``, ``b0-b2,b7``.

    Raises
    ------
    VariantError
        If a name is not a variant's, or a range runs backwards.
    """
    chosen: list[Variant] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low = VARIANTS.index(by_name(first))
        high = VARIANTS.index(by_name(last)) if dash else low
        if high < low:
            raise VariantError(f"the range {part.strip()!r} runs backwards; write {last}-{first}")
        chosen += [row for row in VARIANTS[low : high + 1] if row not in chosen]
    return chosen


def _finished(run: Path) -> bool:
    """Tell whether a run finished; an interrupted one has a ``run.json`` too."""
    try:
        return not read_facts(run).get("interrupted", True)
    except RunError:
        return False


def sweep(
    variants: Sequence[Variant],
    out: Path,
    arguments: Sequence[str],
    *,
    backbone: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Train the variants that have no finished run. If one fails, the others still run.

    Parameters
    ----------
    variants
        In the order in which they are trained.
    out
        Folder of the runs, which have the names of their variants.
    arguments
        More arguments of ``nsfwtrain fit``.
    backbone
        Its ``--backbone``, in which ``{variant}`` stands for the variant's name.
    say
        Takes lines that tell a user what happens.

    Returns
    -------
    dict
        The outcome of each variant, by name.

    Raises
    ------
    RunError
        If the folder holds finished runs of a sweep with other options, or cannot be used.
    """
    asked = {"arguments": list(arguments), "backbone": backbone}
    _check_options(out, asked)
    outcomes: dict[str, Outcome] = {}
    for row in variants:
        run = out / row.name
        if _finished(run):
            outcomes[row.name] = "done before"
            continue
        say(f"{row.name}:")
        command = [sys.executable, "-m", "nsfwtrain", "fit", row.name, "--out", str(run)]
        if backbone is not None:
            command += ["--backbone", backbone.replace("{variant}", row.name)]
        # The end of a process frees its memory. --resume continues a run that was killed.
        child = subprocess.Popen([*command, "--resume", *arguments])  # noqa: S603 - ours
        try:
            failed = child.wait()
        except KeyboardInterrupt as end:
            if isinstance(end, Terminated) and end.number != signal.SIGINT:
                child.terminate()  # only this process got the signal; Ctrl-C reaches both
            child.wait()  # it saves its state
            raise
        outcomes[row.name] = "failed" if failed else "done"
    return outcomes


def _check_options(out: Path, asked: dict[str, Any]) -> None:
    """Record the options of a sweep; refuse to mix runs with different ones."""
    path = out / "sweep.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else asked
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot use {path}: {error}") from error
    if before != asked and any(_finished(out / row.name) for row in VARIANTS):
        raise RunError(
            f"{out} holds runs of a sweep with other options "
            f"({' '.join(before.get('arguments', []))}); name another folder"
        )
    with atomic_write(path) as stream:
        json.dump(asked, stream, indent=2)
