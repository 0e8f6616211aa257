"""Say what leaving out unusable images does to a split."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nsfwscan.dataset.labels import LABELS, PARTS
from nsfwtrain.data.split import balance


def counts_of(split: pd.DataFrame) -> dict[str, int]:
    """Count the rows of a split frame: ``{"train/0": 100, ...}``."""
    counted = balance(split)
    return {f"{part}/{value}": int(counted[value][part]) for part in PARTS for value in LABELS}


def left_out_facts(split: pd.DataFrame, bad: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts about images that were left out.

    Parameters
    ----------
    split
        A split frame, with these images.
    bad
        The reason for each object ID; other images than those of the split do not count.

    Returns
    -------
    dict
        ``counts`` and ``left_out_counts`` (the images that are left, and the others, see
        `counts_of`), ``left_out`` (the reasons) and ``unbalanced`` (the parts other than train that
        had as many images of either label, and no longer have).
    """
    out = split["objectId"].isin(bad)
    before, after = balance(split), balance(split[~out])
    unbalanced = [
        part
        for part in PARTS
        if part != "train" and before.loc[part].nunique() == 1 and after.loc[part].nunique() > 1
    ]
    reasons = {name: bad[name] for name in split.loc[out, "objectId"]}
    return {
        "counts": counts_of(split[~out]),
        "left_out": reasons,
        "left_out_counts": counts_of(split[out]),
        "unbalanced": unbalanced,
    }


def left_out_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the lines that say what was left out, and of which part the labels are unbalanced.

    Parameters
    ----------
    facts
        See `left_out_facts`. Runs of earlier versions lack some.
    """
    missing = facts.get("left_out_counts", {})
    if not any(missing.values()):
        return []
    shares = [
        f"{part} {_counted(missing, part)}"
        for part in PARTS
        if any(missing[f"{part}/{value}"] for value in LABELS)
    ]
    lines = [f"left out: {sum(missing.values()):,} images: {', '.join(shares)}"]
    lines += [
        f"the {part} part is no longer balanced: it has {_counted(facts['counts'], part)}; "
        "restore the images, or split the collection again without them"
        for part in facts["unbalanced"]
    ]
    return lines


def _counted(counts: Mapping[str, int], part: str) -> str:
    return " and ".join(f"{counts[f'{part}/{value}']:,} of label {value}" for value in LABELS)
