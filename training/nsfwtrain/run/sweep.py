"""Train several variants one after another, each in its own process."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from nsfwscan.cli.child import started
from nsfwscan.util.files import atomic_write
from nsfwtrain.data.lock import held
from nsfwtrain.errors import RunError, VariantError
from nsfwtrain.run.options import Converged
from nsfwtrain.run.results import read_facts
from nsfwtrain.variants import VARIANTS, Variant, by_name

Outcome = Literal["done before", "done", "failed"]


def parse_variants(text: str) -> list[Variant]:
    """Parse a list of variants: ``b0-b7``, ``b0,b3``, ``b0-b2,b7``.

    Raises
    ------
    VariantError
        If there is no variant of a name, or a range is in the wrong order.
    """
    chosen: list[Variant] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low = VARIANTS.index(by_name(first))
        high = VARIANTS.index(by_name(last)) if dash else low
        if high < low:
            raise VariantError(
                f"the range {part.strip()!r} is in the wrong order; write {last}-{first}"
            )
        chosen += [row for row in VARIANTS[low : high + 1] if row not in chosen]
    return chosen


def _finished(run: Path) -> bool:
    """Check whether a run finished; an interrupted run has a ``run.json`` too."""
    try:
        return not read_facts(run).get("interrupted", True)
    except RunError:
        return False


def sweep(
    variants: Sequence[Variant],
    out: Path,
    arguments: Sequence[str],
    *,
    recipe: str = Converged.name,
    backbone: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Train the variants that have no finished run, in order. If one fails, the others still run.

    Parameters
    ----------
    out
        Folder of the runs, see `run_name`. Each recipe may have a sweep in it.
    arguments
        More arguments of ``nsfwtrain fit``.
    recipe
        Its ``--recipe``.
    backbone
        Its ``--backbone``, in which ``{variant}`` stands for the variant's name.

    Returns
    -------
    dict
        The outcome of each run, by its name.

    Raises
    ------
    FolderError
        If another process holds the folder, or it cannot be used.
    RunError
        If the folder holds finished runs of a sweep with other options.
    """
    given = {"arguments": list(arguments), "backbone": backbone}
    with held(out):
        _check_options(out, recipe, given)
        return {
            run_name(row, recipe): _train(row, out, arguments, recipe, backbone, say)
            for row in variants
        }


def _train(
    row: Variant,
    out: Path,
    arguments: Sequence[str],
    recipe: str,
    backbone: str | None,
    say: Callable[[str], None],
) -> Outcome:
    name = run_name(row, recipe)
    run = out / name
    if _finished(run):
        return "done before"
    say(f"{name}:")
    command = ["fit", row.name, "--out", str(run), "--recipe", recipe]
    if backbone is not None:
        command += ["--backbone", backbone.replace("{variant}", row.name)]
    # The end of the process frees its memory. --resume continues a run that was killed.
    with started("nsfwtrain", [*command, "--resume", *arguments]) as child:
        return "failed" if child.wait() else "done"


def run_name(variant: Variant, recipe: str) -> str:
    """Name the folder of a run: ``b0``, or ``b0-study`` with the study's recipe."""
    return variant.name if recipe == Converged.name else f"{variant.name}-{recipe}"


def _check_options(out: Path, recipe: str, given: dict[str, Any]) -> None:
    """Record the options of a sweep; refuse to mix runs with different options."""
    path = out / ("sweep.json" if recipe == Converged.name else f"sweep-{recipe}.json")
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else given
    except (OSError, ValueError) as error:
        raise RunError(f"cannot use {path}: {error}") from error
    if before != given and any(_finished(out / run_name(row, recipe)) for row in VARIANTS):
        raise RunError(
            f"{out} holds runs of a sweep with other options "
            f"({' '.join(before.get('arguments', []))}); choose another folder"
        )
    with atomic_write(path) as stream:
        json.dump(given, stream, indent=2)
