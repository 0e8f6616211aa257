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
from nsfwtrain.variants import VARIANTS, Variant, by_name

Outcome = Literal["done before", "done", "failed"]


def parse_variants(text: str) -> list[Variant]:
    """Read a choice of variants: ``b0-b7``, ``b0,b3``, ``b0-b2,b7``.

    Raises
    ------
    VariantError
        If a name is none, or a range runs backwards.
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
    """Tell whether a run came to its end: one that was interrupted leaves its facts as well."""
    try:
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return not facts.get("interrupted", True)


def sweep(
    variants: Sequence[Variant],
    out: Path,
    arguments: Sequence[str],
    *,
    backbone: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Run what is missing; a failing variant does not end the rest.

    Parameters
    ----------
    variants
        Which to train, in that order.
    out
        Folder of the runs: one folder a variant, by its name.
    arguments
        What else ``nsfwtrain fit`` is told.
    backbone
        Its ``--backbone``, in which ``{variant}`` stands for the variant's name.
    say
        Told in lines what goes on.

    Returns
    -------
    dict
        By variant, what became of it.

    Raises
    ------
    RunError
        If the folder holds finished runs of a sweep with other options, or cannot be used.
    """
    told = {"arguments": list(arguments), "backbone": backbone}
    _same_options(out, told)
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
        # A process each gives its memory back, and what is left of a killed one is taken up.
        child = subprocess.Popen([*command, "--resume", *arguments])  # noqa: S603 - ours
        try:
            failed = child.wait()
        except KeyboardInterrupt as end:
            if isinstance(end, Terminated) and end.number != signal.SIGINT:
                child.terminate()  # the request was for this process alone; Ctrl-C is for both
            child.wait()  # it is saving what it has
            raise
        outcomes[row.name] = "failed" if failed else "done"
    return outcomes


def _same_options(out: Path, told: dict[str, Any]) -> None:
    """Keep what a sweep was told; refuse to mix runs that were told different things."""
    path = out / "sweep.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else told
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot use {path}: {error}") from error
    if before != told and any(_finished(out / row.name) for row in VARIANTS):
        raise RunError(
            f"{out} holds runs of a sweep with other options "
            f"({' '.join(before.get('arguments', []))}); name another folder"
        )
    with atomic_write(path) as stream:
        json.dump(told, stream, indent=2)
